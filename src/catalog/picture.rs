//! Pictures drawn by code: a quiet palette from the slug, and a motif for what its words name.

/// What a picture shows, drawn on a field of 400 by 400 in the ink `currentColor`.
struct Motif {
    /// Words of slugs that it stands for.
    words: &'static [&'static str],
    drawing: &'static str,
}

const MOTIFS: &[Motif] = &[
    Motif {
        words: &["mug", "cup", "teapot", "jug", "tumbler", "carafe", "flask", "bottle", "press"],
        drawing: r#"<path d="M130 140h120v105a35 35 0 0 1-35 35h-50a35 35 0 0 1-35-35z"/>
            <path d="M250 165h22a32 32 0 0 1 0 64h-22" fill="none"/>
            <path d="M165 115q-10-16 0-32M190 115q-10-16 0-32M215 115q-10-16 0-32"
            fill="none"/>"#,
    },
    Motif {
        words: &["bowl", "plate", "plates", "dish", "pan", "pot", "casserole", "colander"],
        drawing: r#"<path d="M100 185h200a100 85 0 0 1-200 0z"/><path d="M165 284h70" fill="none"/>
            <path d="M165 150q-10-16 0-32M200 150q-10-16 0-32M235 150q-10-16 0-32"
            fill="none"/>"#,
    },
    Motif {
        words: &["knife", "board", "spoon", "spoons", "whisk", "rack", "scissors", "peeler"],
        drawing: r#"<rect x="115" y="105" width="130" height="190" rx="18"/>
            <circle cx="180" cy="130" r="9" fill="none"/>
            <path d="M280 105c22 40 22 80 0 115zM280 220v75" stroke-width="10"/>"#,
    },
    Motif {
        words: &[
            "shirt", "scarf", "jumper", "socks", "hat", "beanie", "jacket", "apron", "gloves",
        ],
        drawing: r#"<path d="M155 105l-65 40 22 48 28-14v112h120V179l28 14 22-48-65-40
            q-45 34-90 0z"/>
            <path d="M155 105q45 34 90 0" fill="none"/>"#,
    },
    Motif {
        words: &["towel", "towels", "blanket", "cushion", "throw", "rug", "napkins", "linen"],
        drawing: r#"<rect x="105" y="115" width="190" height="170" rx="14"/>
            <path d="M105 155h190M105 170h190M105 245h190M145 115v170M255 115v170"
            fill="none"/>"#,
    },
    Motif {
        words: &["lamp", "lantern", "candle", "candles", "torch", "light", "lights"],
        drawing: r#"<path d="M155 105h90l35 90H120z"/><path d="M200 195v85M155 285h90" fill="none"/>
            <path d="M140 225l-14 22M260 225l14 22M170 228l-6 24M230 228l6 24" fill="none"/>"#,
    },
    Motif {
        words: &["notebook", "pencil", "pencils", "sharpener", "pen", "diary", "paper", "ruler"],
        drawing: r#"<rect x="130" y="100" width="140" height="200" rx="10"/>
            <path d="M155 100v200M180 150h65M180 180h65M180 210h40" fill="none"/>"#,
    },
    Motif {
        words: &["rucksack", "bag", "tote", "pouch", "basket", "holdall", "wallet", "case"],
        drawing: r#"<rect x="120" y="145" width="160" height="150" rx="28"/>
            <path d="M160 145v-12a40 40 0 0 1 80 0v12M150 225h100v70H150zM120 190h160"
            fill="none"/>"#,
    },
    Motif {
        words: &[
            "seed",
            "seeds",
            "trowel",
            "plant",
            "planter",
            "can",
            "secateurs",
            "twine",
            "fork",
        ],
        drawing: r#"<path d="M200 290V170" fill="none"/>
            <path d="M200 200c-60 0-85-30-85-75 55 0 85 25 85 75zM200 175c0-45 25-70 80-70 0
            45-25 70-80 70z"/>
            <path d="M140 290h120" fill="none"/>"#,
    },
    Motif {
        words: &["top", "blocks", "puzzle", "train", "kite", "toy", "yoyo", "rattle", "marbles"],
        drawing: r#"<rect x="110" y="205" width="85" height="85" rx="8"/>
            <rect x="205" y="205" width="85" height="85" rx="8"/>
            <path d="M200 100l52 90H148z"/>"#,
    },
    Motif {
        words: &["tent", "stove", "hammock", "compass", "boots", "map", "tarp", "mat"],
        drawing: r#"<path d="M85 285l115-175 115 175z"/><path d="M200 200l-45 85h90z" fill="none"/>
            <path d="M200 110l-14-20M200 110l14-20" fill="none"/>"#,
    },
];

/// What is drawn when no word is known.
const PLAIN: &str =
    r#"<circle cx="165" cy="215" r="70"/><circle cx="235" cy="185" r="70" fill="none"/>"#;

/// The picture of a slug; equal slugs have equal pictures.
pub fn svg(slug: &str) -> String {
    let hash = hash(slug);
    let hue = hash % 360;
    let other = (hue + 150 + hash / 360 % 60) % 360;
    let (x, y) = (120 + hash / 7 % 160, 120 + hash / 11 % 160);
    let drawing = drawing(slug);
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 400" width="800"
            height="800" role="img">
            <rect width="400" height="400" fill="hsl({hue} 38% 92%)"/>
            <circle cx="{x}" cy="{y}" r="150" fill="hsl({hue} 42% 85%)"/>
            <ellipse cx="200" cy="318" rx="110" ry="12" fill="hsl({hue} 25% 72%)"/>
            <g fill="hsl({other} 34% 58%)" stroke="hsl({hue} 30% 26%)" stroke-width="7"
            stroke-linejoin="round" stroke-linecap="round">{drawing}
            </g></svg>"#
    )
}

/// The last word says what a thing is: a tea towel is a towel.
fn drawing(slug: &str) -> &'static str {
    let of_word = |word: &str| MOTIFS.iter().find(|motif| motif.words.contains(&word));
    let motif = slug.rsplit('-').find_map(of_word);
    motif.map_or(PLAIN, |motif| motif.drawing)
}

/// FNV-1a, which will be the same in every release.
fn hash(text: &str) -> u32 {
    text.bytes()
        .fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_slug_always_has_the_same_picture_and_others_have_others() {
        let slugs = ["enamel-mug", "stoneware-mug", "desk-lamp", "something-else"];
        let pictures: HashSet<String> = slugs.iter().map(|slug| svg(slug)).collect();
        assert_eq!(pictures.len(), slugs.len());
        assert_eq!(svg("enamel-mug"), svg("enamel-mug"));
    }

    #[test]
    fn the_last_known_word_of_a_slug_chooses_the_motif() {
        assert_eq!(drawing("linen-tea-towel"), drawing("towel"));
        assert_eq!(drawing("harbour-t-shirt-2"), drawing("shirt"));
        assert_eq!(drawing("something-else"), PLAIN);
        let words: Vec<&str> = MOTIFS.iter().flat_map(|motif| motif.words).copied().collect();
        assert_eq!(words.iter().collect::<HashSet<_>>().len(), words.len());
    }
}
