//! Slugs: the words of a product's address.

/// The longest slug.
pub const CHARS_MAX: usize = 200;

/// Whether `text` is a slug: `^[a-z0-9]+(-[a-z0-9]+)*$`, at most [`CHARS_MAX`] characters. No id
/// is one, because ids have an underscore.
pub fn is_slug(text: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    text.len() <= CHARS_MAX && text.split('-').all(is_word)
}

/// The slug of a title: `Café “Größe L”` becomes `cafe-grosse-l`. One without a letter or digit
/// becomes `fallback`.
pub fn of_title(title: &str, fallback: &str) -> String {
    let mut slug = String::new();
    for character in title.chars().flat_map(char::to_lowercase) {
        match fold(character) {
            // Kid’s is one word.
            "" if matches!(character, '\'' | '’') => {}
            "" if character.is_ascii_alphanumeric() => slug.push(character),
            "" if !slug.is_empty() && !slug.ends_with('-') => slug.push('-'),
            letters => slug.push_str(letters),
        }
        if slug.len() > CHARS_MAX {
            break;
        }
    }
    let slug = cut(&slug, CHARS_MAX);
    if slug.is_empty() { fallback.to_owned() } else { slug.to_owned() }
}

/// The `number`-th choice for a slug: `mug`, `mug-2`, `mug-3` …
pub fn numbered(slug: &str, number: u32) -> String {
    match number {
        0 | 1 => slug.to_owned(),
        number => {
            let tail = format!("-{number}");
            format!("{}{tail}", cut(slug, CHARS_MAX - tail.len()))
        }
    }
}

/// At most `length` characters of an ASCII text, without dashes at the end.
fn cut(slug: &str, length: usize) -> &str {
    slug.get(..length).unwrap_or(slug).trim_end_matches('-')
}

/// The ASCII letters for a lower-case letter of the Latin alphabets of Europe; "" if it has none.
fn fold(character: char) -> &'static str {
    match character {
        'à'..='å' | 'ā' | 'ă' | 'ą' => "a",
        'æ' => "ae",
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => "c",
        'ð' | 'ď' | 'đ' => "d",
        'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => "e",
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => "g",
        'ĥ' | 'ħ' => "h",
        'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' => "i",
        'ĵ' => "j",
        'ķ' => "k",
        'ĺ' | 'ļ' | 'ľ' | 'ł' => "l",
        'ñ' | 'ń' | 'ņ' | 'ň' => "n",
        'ò'..='ö' | 'ø' | 'ō' | 'ŏ' | 'ő' => "o",
        'œ' => "oe",
        'ŕ' | 'ŗ' | 'ř' => "r",
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => "s",
        'ß' => "ss",
        'ţ' | 'ť' | 'ŧ' | 'ț' => "t",
        'þ' => "th",
        'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' => "u",
        'ŵ' => "w",
        'ý' | 'ÿ' | 'ŷ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn a_title_becomes_readable_ascii() {
        for (title, slug) in [
            ("Enamel mug", "enamel-mug"),
            ("  Café “Größe L” ", "cafe-grosse-l"),
            ("KID'S & Mum’s", "kids-mums"),
            ("İstanbul – Łódź", "i-stanbul-lodz"),
            ("茶", "product"),
            ("", "product"),
        ] {
            assert_eq!(of_title(title, "product"), slug, "{title}");
        }
    }

    #[test]
    fn only_words_with_single_dashes_are_slugs() {
        for bad in ["", "-", "a-", "-a", "a--b", "A", "a b", "é", "a_b", &"a".repeat(201)] {
            assert!(!is_slug(bad), "{bad}");
        }
        assert!(is_slug("a-1-b") && is_slug(&"a".repeat(200)));
    }

    proptest! {
        #[test]
        fn a_derived_slug_is_always_a_slug(title in "\\PC{0,300}", number in 1..100_000u32) {
            let slug = of_title(&title, "product");
            prop_assert!(is_slug(&slug), "{slug}");
            prop_assert!(is_slug(&numbered(&slug, number)), "{slug}");
        }

        #[test]
        fn numbered_slugs_of_a_title_are_unique(title in "[a-z -]{0,250}") {
            let slug = of_title(&title, "product");
            let all: HashSet<String> = (1..300).map(|number| numbered(&slug, number)).collect();
            prop_assert_eq!(all.len(), 299);
        }
    }
}
