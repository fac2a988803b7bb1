//! Patterns of file names that capture the patient.

/// Characters and placeholders of a path component; no file system has names of more than 255 bytes.
const PIECES_MAX: usize = 1024;

/// A pattern of [`ModalityFiles`](crate::ModalityFiles) for one spelling of the modality.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pattern {
    /// One list of pieces per path component.
    components: Vec<Vec<Piece>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Character(char),
    Anything,
    Patient,
}

impl Pattern {
    /// Returns the pattern, or what is wrong with it in words that follow "the pattern".
    pub(crate) fn new(pattern: &str, modality: &str) -> Result<Self, &'static str> {
        let pattern = pattern.replace("{modality}", modality);
        if pattern.matches("{patient}").count() != 1 {
            return Err("must contain `{patient}` exactly once");
        }
        let components: Vec<_> = pattern
            .split('/')
            .map(pieces)
            .collect::<Option<_>>()
            .ok_or("has a brace that belongs to neither `{patient}` nor `{modality}`")?;
        if components.iter().any(Vec::is_empty) {
            return Err("has an empty path component");
        }
        if components.iter().any(|pieces| pieces.len() > PIECES_MAX) {
            return Err("has a path component longer than any file's name");
        }
        Ok(Self { components })
    }

    /// Returns the patient if the last components of `path` (folders, then the file's name without
    /// extension) match, each in full and ignoring ASCII case.
    pub(crate) fn patient(&self, path: &[&str]) -> Option<String> {
        let skipped = path.len().checked_sub(self.components.len())?;
        let mut patient = String::new();
        for (pieces, name) in self.components.iter().zip(&path[skipped..]) {
            patient.push_str(capture(pieces, name)?);
        }
        Some(patient)
    }
}

fn pieces(component: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = component;
    while let Some(first) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("{patient}") {
            pieces.push(Piece::Patient);
            rest = after;
            continue;
        }
        pieces.push(match first {
            '{' | '}' => return None,
            '*' => Piece::Anything,
            literal => Piece::Character(literal),
        });
        rest = &rest[first.len_utf8()..];
    }
    Some(pieces)
}

/// Matches a whole name and returns the patient, or an empty text if these pieces capture none.
///
/// `*` takes as little as it can and the patient, who is never empty, as much as it can.
fn capture<'a>(pieces: &[Piece], name: &'a str) -> Option<&'a str> {
    let cuts: Vec<usize> = name.char_indices().map(|(at, _)| at).chain([name.len()]).collect();
    let last = cuts.len() - 1;
    let fits = fits(pieces, name, last);
    let (mut at, mut patient) = (0, "");
    for (place, piece) in pieces.iter().enumerate() {
        let after = &fits[place + 1];
        if !fits[place][at] {
            return None;
        }
        at = match piece {
            Piece::Character(_) => at + 1,
            Piece::Anything => (at..=last).find(|&end| after[end])?,
            Piece::Patient => {
                let end = (at + 1..=last).rev().find(|&end| after[end])?;
                patient = &name[cuts[at]..cuts[end]];
                end
            }
        };
    }
    fits[pieces.len()][at].then_some(patient)
}

/// Whether the pieces from each on match the characters from each on, up to the end of the name: found from the end, so
/// that many asterisks cost no more than many characters.
fn fits(pieces: &[Piece], name: &str, last: usize) -> Vec<Vec<bool>> {
    let characters: Vec<char> = name.chars().collect();
    let mut fits = vec![vec![false; last + 1]; pieces.len() + 1];
    fits[pieces.len()][last] = true;
    for (place, piece) in pieces.iter().enumerate().rev() {
        for at in (0..=last).rev() {
            let follows = |from: usize| fits[place + 1].get(from).copied().unwrap_or(false);
            // What takes many characters takes one, and then goes on as it is.
            let goes_on = at < last && fits[place][at + 1];
            fits[place][at] = match piece {
                Piece::Character(literal) => {
                    at < last && characters[at].eq_ignore_ascii_case(literal) && follows(at + 1)
                }
                Piece::Anything => follows(at) || goes_on,
                Piece::Patient => follows(at + 1) || goes_on,
            };
        }
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patient(pattern: &str, path: &str) -> Option<String> {
        let path: Vec<_> = path.split('/').collect();
        Pattern::new(pattern, "LGE").unwrap().patient(&path)
    }

    #[test]
    fn a_name_matches_in_full_at_any_depth_and_in_any_case() {
        let pattern = "patient{patient}_{modality}";

        assert_eq!(patient(pattern, "patient12_LGE").as_deref(), Some("12"));
        assert_eq!(patient(pattern, "a/b/PATIENT3_lge").as_deref(), Some("3"));
        assert_eq!(patient(pattern, "patient12_LGE_manual"), None);
        assert_eq!(patient(pattern, "xpatient12_LGE"), None);
        assert_eq!(patient(pattern, "patient_LGE"), None);
    }

    #[test]
    fn folders_in_a_pattern_are_those_right_above_the_file() {
        let pattern = "imagesTr/{patient}";

        assert_eq!(patient(pattern, "set/imagesTr/case_1").as_deref(), Some("case_1"));
        assert_eq!(patient(pattern, "imagesTr/deeper/case_1"), None);
        assert_eq!(patient(pattern, "case_1"), None);
        assert_eq!(patient("{patient}/*", "p7/scan").as_deref(), Some("p7"));
    }

    #[test]
    fn the_patient_takes_as_much_and_the_star_as_little_as_it_can() {
        assert_eq!(patient("*-{patient}_x", "a-b-c_x").as_deref(), Some("b-c"));
        assert_eq!(patient("{patient}_*", "a_b_c").as_deref(), Some("a_b"));
        assert_eq!(patient("{patient}", "é").as_deref(), Some("é"));
    }

    #[test]
    fn a_pattern_must_capture_one_patient() {
        let problem = |pattern| Pattern::new(pattern, "LGE").unwrap_err();

        assert_eq!(problem("*_LGE"), "must contain `{patient}` exactly once");
        assert_eq!(problem("{patient}/{patient}"), "must contain `{patient}` exactly once");
        assert_eq!(
            problem("{patient}_{modalty}"),
            "has a brace that belongs to neither `{patient}` nor `{modality}`"
        );
        assert_eq!(problem("/{patient}"), "has an empty path component");
    }

    #[test]
    fn many_asterisks_cost_no_more_than_many_characters() {
        let many = format!("{}{{patient}}b", "*a".repeat(300));

        assert_eq!(patient(&many, &format!("{}b", "a".repeat(250))), None);
        assert_eq!(
            patient(&format!("{}{{patient}}", "*".repeat(1000)), "p7").as_deref(),
            Some("p7")
        );
        let long = Pattern::new(&format!("{}{{patient}}", "*".repeat(2000)), "LGE");
        assert_eq!(long, Err("has a path component longer than any file's name"));
    }

    /// What [`capture`] does, by trying: slow with many asterisks.
    fn capture_by_trying<'a>(pieces: &[Piece], name: &'a str) -> Option<&'a str> {
        let Some((first, rest)) = pieces.split_first() else {
            return name.is_empty().then_some("");
        };
        let mut cuts = name.char_indices().map(|(at, _)| at).chain([name.len()]);
        match first {
            Piece::Character(literal) => {
                let found = name.chars().next().filter(|c| c.eq_ignore_ascii_case(literal))?;
                capture_by_trying(rest, &name[found.len_utf8()..])
            }
            Piece::Anything => cuts.find_map(|cut| capture_by_trying(rest, &name[cut..])),
            Piece::Patient => {
                let longest_first = cuts.skip(1).collect::<Vec<_>>().into_iter().rev();
                let mut parts = longest_first.map(|cut| name.split_at(cut));
                parts.find_map(|(patient, after)| capture_by_trying(rest, after).map(|_| patient))
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn captures_what_trying_every_way_captures(
            before in "[ab*é]{0,6}", after in "[ab*]{0,5}", name in "[abAé]{0,9}",
        ) {
            let pieces = pieces(&format!("{before}{{patient}}{after}")).unwrap();

            proptest::prop_assert_eq!(capture(&pieces, &name), capture_by_trying(&pieces, &name));
        }
    }
}
