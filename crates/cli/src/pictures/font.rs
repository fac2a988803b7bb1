//! A small bitmap font, so that captions need no font file: 5 × 8 pixels, two below the baseline.

/// Columns and rows of a glyph; the next glyph starts one column further.
pub(super) const GLYPH: [usize; 2] = [5, 8];

/// Whether the glyph of `character` is inked at `[column, row]`; unknown characters are blank.
pub(super) fn is_inked(character: char, [column, row]: [usize; 2]) -> bool {
    BANDS.iter().any(|(characters, rows)| {
        let position = characters.chars().position(|known| known == character);
        position.is_some_and(|index| {
            let at = index * (GLYPH[0] + 1) + column;
            rows[row].as_bytes().get(at) == Some(&b'#')
        })
    })
}

/// Glyphs side by side, six columns apart, in the order of the characters before them.
#[rustfmt::skip]
const BANDS: [(&str, [&str; 8]); 6] = [
    ("ABCDEFGHIJKLM", [
        " ###  ####   ###  ###   ##### #####  ###  #   #  ###    ### #   # #     #   #",
        "#   # #   # #   # #  #  #     #     #   # #   #   #      #  #  #  #     ## ##",
        "#   # #   # #     #   # #     #     #     #   #   #      #  # #   #     # # #",
        "#   # ####  #     #   # ####  ####  # ### #####   #      #  ##    #     # # #",
        "##### #   # #     #   # #     #     #   # #   #   #      #  # #   #     #   #",
        "#   # #   # #   # #  #  #     #     #   # #   #   #   #  #  #  #  #     #   #",
        "#   # ####   ###  ###   ##### #      #### #   #  ###   ##   #   # ##### #   #",
        "",
    ]),
    ("NOPQRSTUVWXYZ", [
        "#   #  ###  ####   ###  ####   #### ##### #   # #   # #   # #   # #   # #####",
        "#   # #   # #   # #   # #   # #       #   #   # #   # #   # #   # #   #     #",
        "##  # #   # #   # #   # #   # #       #   #   # #   # #   #  # #  #   #    #",
        "# # # #   # ####  #   # ####   ###    #   #   # #   # # # #   #    # #    #",
        "#  ## #   # #     # # # # #       #   #   #   # #   # # # #  # #    #    #",
        "#   # #   # #     #  #  #  #      #   #   #   #  # #  # # # #   #   #   #",
        "#   #  ###  #      ## # #   # ####    #    ###    #    # #  #   #   #   #####",
        "",
    ]),
    ("abcdefghijklm", [
        "      #               #         ##        #       #      #  #      ##",
        "      #               #        #  #       #                 #       #",
        " ###  # ##   ###   ## #  ###   #     #### # ##   ##     ##  #  #    #   ## #",
        "    # ##  # #     #  ## #   # ###   #   # ##  #   #      #  # #     #   # # #",
        " #### #   # #     #   # #####  #    #   # #   #   #      #  ##      #   # # #",
        "#   # #   # #   # #   # #      #     #### #   #   #      #  # #     #   #   #",
        " #### ####   ###   ####  ###   #        # #   #  ###  #  #  #  #   ###  #   #",
        "                                     ###               ##",
    ]),
    ("nopqrstuvwxyz", [
        "                                     #",
        "                                     #",
        "# ##   ###  ####   #### # ##   ###  ###   #   # #   # #   # #   # #   # #####",
        "##  # #   # #   # #   # ##  # #      #    #   # #   # #   #  # #  #   #    #",
        "#   # #   # #   # #   # #      ###   #    #   # #   # # # #   #   #   #   #",
        "#   # #   # ####   #### #         #  #  # #  ##  # #  # # #  # #   ####  #",
        "#   #  ###  #         # #     ####    ##   ## #   #    # #  #   #     # #####",
        "            #         #                                            ###",
    ]),
    ("0123456789!%(", [
        " ###    #    ###   ###     #  #####   ##  #####  ###   ###    #   ##       #",
        "#   #  ##   #   # #   #   ##  #      #        # #   # #   #   #   ##  #   #",
        "#  ##   #       #     #  # #  ####  #        #  #   # #   #   #      #   #",
        "# # #   #     ##    ##  #  #      # ####    #    ###   ####   #     #    #",
        "##  #   #    #        # #####     # #   #  #    #   #     #   #    #     #",
        "#   #   #   #     #   #    #  #   # #   #  #    #   #    #        #  ##   #",
        " ###   ###  #####  ###     #   ###   ###   #     ###   ##     #      ##    #",
        "",
    ]),
    (")+,-./:=_", [
        " #",
        "  #     #                         #   #",
        "   #    #                        #    #   #####",
        "   #  #####       #####         #",
        "   #    #     ##               #      #   #####",
        "  #     #     ##          ##  #       #",
        " #            #           ##                    #####",
        "             #",
    ]),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(character: char) -> Vec<String> {
        let dot = |column, row| if is_inked(character, [column, row]) { '#' } else { ' ' };
        (0..8).map(|row| (0..5).map(|column| dot(column, row)).collect()).collect()
    }

    #[test]
    fn letters_look_like_themselves() {
        let t = ["#####", "  #  ", "  #  ", "  #  ", "  #  ", "  #  ", "  #  ", "     "];

        assert_eq!(drawn('T'), t);
    }

    #[test]
    fn every_letter_and_digit_has_its_own_glyph() {
        let characters: Vec<char> = ('a'..='z').chain('A'..='Z').chain('0'..='9').collect();
        for (index, &one) in characters.iter().enumerate() {
            for &other in &characters[..index] {
                assert_ne!(drawn(one), drawn(other), "{one} {other}");
            }
        }
    }

    #[test]
    fn unknown_characters_are_blank() {
        assert_eq!(drawn('\u{2603}'), vec!["     "; 8]);
    }
}
