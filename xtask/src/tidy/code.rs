//! A Rust text without its comments and strings, so that rules see code only.

/// What the scanner stands in.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Code,
    LineComment,
    BlockComment { depth: usize },
    Text,
    RawText { hashes: usize },
}

/// Returns `text` with comments and the contents of strings replaced by spaces; lines stay lines.
pub(super) fn code_only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut place = Place::Code;
    let mut at = 0;
    while at < chars.len() {
        let (next_place, length) = advance(place, &chars[at..], code.chars().next_back());
        let is_code = place == Place::Code && next_place == Place::Code && length == 1;
        for &c in &chars[at..at + length] {
            code.push(if is_code || c == '\n' { c } else { ' ' });
        }
        place = next_place;
        at += length;
    }
    code
}

/// Returns the place after the next token of `rest`, and how many characters the token has.
fn advance(place: Place, rest: &[char], before: Option<char>) -> (Place, usize) {
    let starts = |pattern: &str| pattern.chars().eq(rest.iter().copied().take(pattern.len()));
    match place {
        Place::Code if starts("//") => (Place::LineComment, 2),
        Place::Code if starts("/*") => (Place::BlockComment { depth: 1 }, 2),
        Place::Code if starts("\"") => (Place::Text, 1),
        Place::Code if rest[0] == 'r' && !before.is_some_and(is_word) => raw_text(rest),
        Place::Code if starts("'") => (Place::Code, character_literal(rest)),
        Place::LineComment if starts("\n") => (Place::Code, 1),
        Place::BlockComment { depth } if starts("/*") => {
            (Place::BlockComment { depth: depth + 1 }, 2)
        }
        Place::BlockComment { depth: 1 } if starts("*/") => (Place::Code, 2),
        Place::BlockComment { depth } if starts("*/") => {
            (Place::BlockComment { depth: depth - 1 }, 2)
        }
        Place::Text if starts("\\") => (Place::Text, rest.len().min(2)),
        Place::Text if starts("\"") => (Place::Code, 1),
        Place::RawText { hashes } if closes_raw_text(rest, hashes) => (Place::Code, 1 + hashes),
        place => (place, 1),
    }
}

/// A raw string's opening, or the plain letter `r`.
fn raw_text(rest: &[char]) -> (Place, usize) {
    let hashes = rest[1..].iter().take_while(|&&c| c == '#').count();
    if rest.get(1 + hashes) == Some(&'"') {
        (Place::RawText { hashes }, hashes + 2)
    } else {
        (Place::Code, 1)
    }
}

fn closes_raw_text(rest: &[char], hashes: usize) -> bool {
    rest[0] == '"' && rest[1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes
}

/// The length of a character literal, or 1 for a lifetime's quote.
fn character_literal(rest: &[char]) -> usize {
    match rest {
        [_, '\\', _, tail @ ..] => {
            tail.iter().position(|&c| c == '\'').map_or(1, |position| position + 4)
        }
        [_, _, '\'', ..] => 3,
        _ => 1,
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_vanish_and_code_stays() {
        let text = "a // todo!()\nb /* x /* y */ z */ c \"todo!()\" d\n";

        let code = code_only(text);

        assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        assert_eq!(code.lines().count(), 2);
    }

    #[test]
    fn raw_strings_end_at_their_own_hashes() {
        let code = code_only("let a = r#\"todo!() \" still\"#; for x in y {}");

        assert!(!code.contains("todo") && !code.contains("still"), "{code}");
        assert!(code.ends_with("; for x in y {}"), "{code}");
    }

    #[test]
    fn quotes_in_character_literals_open_no_string() {
        let code = code_only("match c { '\"' => todo!(), '\\'' => b, '\\u{1F}' => c }");

        assert!(code.contains("=> todo!(),") && code.contains("=> b") && code.contains("=> c"));
    }

    #[test]
    fn lifetimes_are_not_character_literals() {
        assert!(code_only("fn f<'a>(x: &'a str) {}").contains("fn f<'a>(x: &'a str) {}"));
    }

    #[test]
    fn escaped_quotes_do_not_end_a_string() {
        assert_eq!(code_only(r#"f("a \" todo!()") + g"#).trim_end(), r"f(              ) + g");
    }
}
