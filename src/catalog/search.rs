//! From what a person types to what is looked for.
//!
//! Each word may stand for itself and its stem, for longer words that begin with it, and for near
//! words if it is misspelt. It is tried in the order of [`Attempt`]; the first attempt that finds
//! any product of the store, whatever the filters, is the query.

use std::collections::BTreeSet;
use strsim::osa_distance;

/// Characters of a text, at most.
pub const CHARS_MAX: usize = 200;
/// Words of a text, at most.
pub const WORDS_MAX: usize = 12;
/// Near words that a misspelt word may stand for, at most.
const NEAR_MAX: usize = 8;
/// Shorter words are not corrected: anything is near to them.
const CORRECTED_CHARS_MIN: usize = 3;
/// Longer words are not corrected: nobody means them.
const CORRECTED_CHARS_MAX: usize = 25;

/// The words of a text, in lower case; none if it has no letter or digit.
pub fn words(text: &str) -> Vec<String> {
    let text: String = text.chars().filter(|c| !matches!(c, '\'' | '’')).collect();
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

/// A word of a text with what the shop's vocabulary knows of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Word {
    /// Itself, without accents.
    pub text: String,
    /// Its English stem; none if the word says nothing ("the").
    pub stem: Option<String>,
    /// Whether the shop uses it.
    pub is_known: bool,
    /// Whether longer words of the shop begin with it.
    pub is_begun: bool,
    /// What it makes with the word before, if the shop uses that.
    pub joined_before: Option<String>,
    /// What it makes with the word behind, if the shop uses that.
    pub joined_behind: Option<String>,
    /// Near words of the shop; empty until they have been looked for.
    pub near: Vec<String>,
    /// Two words of the shop that it consists of.
    pub halves: Vec<(String, String)>,
}

impl Word {
    /// Whether the shop knows nothing like it, so that it must be misspelt.
    pub fn is_misspelt(&self) -> bool {
        let joins = self.joined_before.is_some() || self.joined_behind.is_some();
        !self.is_known && !joins && !self.is_begun
    }

    fn can_be_corrected(&self) -> bool {
        let length = (CORRECTED_CHARS_MIN..=CORRECTED_CHARS_MAX).contains(&self.length());
        length && self.stem.is_some() && !self.text.contains(|c: char| c.is_ascii_digit())
    }

    fn length(&self) -> usize {
        self.text.chars().count()
    }

    /// Everything that is one slip of the fingers away from the word, and its halves: what to look
    /// for in the vocabulary.
    pub fn spellings(&self) -> BTreeSet<String> {
        if !self.can_be_corrected() {
            return BTreeSet::new();
        }
        let word: Vec<char> = self.text.chars().collect();
        let mut spellings = slips(&word);
        for (first, second) in splits(&word) {
            spellings.extend([first, second]);
        }
        spellings.remove(&self.text);
        spellings
    }

    /// Takes the nearest of the vocabulary's candidates, and the halves that it knows.
    pub fn correct(&mut self, candidates: &BTreeSet<String>) {
        if !self.can_be_corrected() {
            return;
        }
        let distance_max = if self.length() < 6 { 1 } else { 2 };
        let first = self.text.chars().next();
        let mut near: Vec<(usize, bool, &String)> = candidates
            .iter()
            .filter(|candidate| **candidate != self.text)
            .map(|near| (osa_distance(&self.text, near), near.chars().next() != first, near))
            .filter(|(distance, ..)| *distance <= distance_max)
            .collect();
        near.sort_unstable();
        let nearest = near.first().map(|(distance, ..)| *distance);
        near.retain(|(distance, ..)| Some(*distance) == nearest);
        self.near = near.into_iter().take(NEAR_MAX).map(|(.., near)| near.clone()).collect();
        let word: Vec<char> = self.text.chars().collect();
        let is_known =
            |(a, b): &(String, String)| candidates.contains(a) && candidates.contains(b);
        self.halves = splits(&word).filter(is_known).collect();
    }
}

/// All texts that one slip makes of a word: a letter missing, doubled, wrong or swapped with its
/// neighbour.
fn slips(word: &[char]) -> BTreeSet<String> {
    let mut slips = BTreeSet::new();
    for at in 0..=word.len() {
        let (before, behind) = word.split_at(at);
        let with = |middle: &[char], behind: &[char]| [before, middle, behind].concat();
        let mut add = |letters: Vec<char>| slips.insert(letters.into_iter().collect::<String>());
        for letter in 'a'..='z' {
            add(with(&[letter], behind));
            if let [_, rest @ ..] = behind {
                add(with(&[letter], rest));
            }
        }
        if let [_, rest @ ..] = behind {
            add(with(&[], rest));
        }
        if let [first, second, rest @ ..] = behind {
            add(with(&[*second, *first], rest));
        }
    }
    slips
}

/// All pairs that the word may be made of, the second of at least two letters: "tlight" is "t"
/// and "light".
fn splits(word: &[char]) -> impl Iterator<Item = (String, String)> {
    (1..word.len().saturating_sub(1)).map(|at| {
        let (first, second) = word.split_at(at);
        (first.iter().collect(), second.iter().collect())
    })
}

/// How words are understood, the strictest way first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// All words, those that the shop does not know corrected.
    AsTyped,
    /// All words, each corrected: what was typed may be another word by accident.
    Corrected,
    /// All words but one.
    AllButOne,
    /// Any word.
    Any,
}

impl Attempt {
    /// In the order in which they are made.
    pub const ALL: [Attempt; 4] =
        [Attempt::AsTyped, Attempt::Corrected, Attempt::AllButOne, Attempt::Any];
}

/// What is looked for, in PostgreSQL's language of text queries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The words as they are spelt in titles.
    pub text: String,
    /// What a product must match.
    pub matches: String,
    /// What the words match, to rank what was found.
    pub terms: Vec<Term>,
}

/// What one word matches, the best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The word or its stem.
    pub exact: String,
    /// That, or a longer word.
    pub longer: String,
    /// That, or a near word.
    pub near: String,
}

/// The query of an attempt; none if it would not differ from an earlier attempt.
pub fn query(words: &[Word], attempt: Attempt) -> Option<Query> {
    let says_something = |word: &&Word| word.stem.is_some();
    let mut meant: Vec<&Word> = words.iter().filter(says_something).collect();
    if meant.is_empty() {
        meant = words.iter().collect();
    }
    // The last word may not be finished yet.
    let is_last = |word: &Word| words.last().is_some_and(|last| std::ptr::eq(last, word));
    let terms: Vec<Term> = meant.iter().map(|word| term(word, is_last(word))).collect();
    let matches: Vec<String> = terms.iter().map(|term| format!("({})", term.near)).collect();
    let matches = match attempt {
        Attempt::AsTyped | Attempt::Corrected => matches.join(" & "),
        Attempt::AllButOne if matches.len() > 2 => all_but_one(&matches),
        Attempt::Any if matches.len() > 1 => matches.join(" | "),
        Attempt::AllButOne | Attempt::Any => return None,
    };
    let text: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    (!terms.is_empty()).then(|| Query { text: text.join(" "), matches, terms })
}

fn all_but_one(terms: &[String]) -> String {
    let without = |left_out: usize| {
        let kept = terms.iter().enumerate().filter(|(at, _)| *at != left_out);
        let kept: Vec<&str> = kept.map(|(_, term)| term.as_str()).collect();
        format!("({})", kept.join(" & "))
    };
    (0..terms.len()).map(without).collect::<Vec<_>>().join(" | ")
}

fn term(word: &Word, is_last: bool) -> Term {
    let stem = word.stem.as_ref().filter(|stem| **stem != word.text);
    let mut alternatives: Vec<String> =
        [Some(&word.text), stem].into_iter().flatten().map(|w| quote(w)).collect();
    let exact = alternatives.join(" | ");
    if word.is_begun && (is_last || !word.is_known) {
        // It stands for the word, too; each alternative is read from the index.
        alternatives[0].push_str(":*");
    }
    let joined = [&word.joined_before, &word.joined_behind];
    alternatives.extend(joined.into_iter().flatten().map(|joined| quote(joined)));
    let longer = alternatives.join(" | ");
    alternatives.extend(word.near.iter().map(|near| quote(near)));
    let pair = |(a, b): &(String, String)| format!("({} & {})", quote(a), quote(b));
    alternatives.extend(word.halves.iter().map(pair));
    Term { exact, longer, near: alternatives.join(" | ") }
}

/// A word as PostgreSQL reads it in a text query.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Word {
        Word { text: text.to_owned(), stem: Some(text.to_owned()), ..Word::default() }
    }

    fn corrected(text: &str, vocabulary: &[&str]) -> Word {
        let mut word = word(text);
        word.correct(&vocabulary.iter().map(|word| (*word).to_owned()).collect());
        word
    }

    #[test]
    fn words_are_letters_and_digits_in_lower_case() {
        assert_eq!(words("  Kid’s T-Shirt, 50%! "), ["kids", "t", "shirt", "50"]);
        assert_eq!(words("ÉTÉ 茶"), ["été", "茶"]);
        assert_eq!(words(" -!"), [""; 0]);
    }

    #[test]
    fn one_slip_of_any_kind_is_among_the_spellings() {
        for typed in ["lantren", "lanten", "lanttern", "lantarn", "lanternx", "antern"] {
            let found = word(typed).spellings().contains("lantern");
            assert!(found, "{typed}");
        }
        assert!(word("teacup").spellings().is_superset(&["tea".into(), "cup".into()].into()));
        for never in ["mu", "10123c", &"a".repeat(26)] {
            assert!(word(never).spellings().is_empty(), "{never}");
        }
    }

    #[test]
    fn a_misspelt_word_becomes_the_nearest_ones() {
        assert_eq!(
            corrected("hart", &["heart", "hat", "chart", "hearts"]).near,
            ["hat", "heart", "chart"]
        );
        assert_eq!(corrected("vintidge", &["vintage", "village"]).near, ["vintage"]);
        assert_eq!(corrected("mugs", &["vase", "mxyz"]).near, [""; 0]);
        let tlight = corrected("tlight", &["t", "light", "flight"]);
        assert_eq!(tlight.near, ["flight", "light"]);
        assert_eq!(tlight.halves, [("t".to_owned(), "light".to_owned())]);
    }

    #[test]
    fn only_the_last_word_and_unknown_words_may_be_unfinished() {
        let known = Word { is_known: true, is_begun: true, ..word("red") };
        let query = query(&[known.clone(), known], Attempt::AsTyped).unwrap();
        assert_eq!(query.matches, "('red') & ('red':*)");
        assert_eq!(query.text, "red red");
    }

    #[test]
    fn a_stem_that_is_another_word_is_asked_for_too() {
        let mugs = Word { stem: Some("mug".to_owned()), is_begun: true, ..word("mugs") };
        let query = query(&[mugs], Attempt::AsTyped).unwrap();
        let Term { exact, longer, .. } = &query.terms[0];
        assert_eq!((exact.as_str(), longer.as_str()), ("'mugs' | 'mug'", "'mugs':* | 'mug'"));
    }

    #[test]
    fn words_that_say_nothing_are_not_asked_for_unless_there_are_no_others() {
        let the = Word { text: "the".to_owned(), is_known: true, ..Word::default() };
        let meant = query(&[the.clone(), word("mug")], Attempt::AsTyped).unwrap();
        assert_eq!(meant.matches, "('mug')");
        assert_eq!(query(&[the], Attempt::AsTyped).unwrap().matches, "('the')");
    }

    #[test]
    fn the_last_attempts_leave_words_out() {
        let terms = |count: usize, attempt| {
            let words: Vec<Word> = ["a", "b", "c"][..count].iter().map(|w| word(w)).collect();
            query(&words, attempt).map(|query| query.matches)
        };
        let but_one = "(('b') & ('c')) | (('a') & ('c')) | (('a') & ('b'))";
        assert_eq!(terms(3, Attempt::AllButOne).as_deref(), Some(but_one));
        assert_eq!(terms(2, Attempt::AllButOne), None);
        assert_eq!(terms(2, Attempt::Any).as_deref(), Some("('a') | ('b')"));
        assert_eq!(terms(1, Attempt::Any), None);
    }

    #[test]
    fn quotes_in_words_stay_inside_of_them() {
        assert_eq!(quote(r"a'b\c"), r"'a''b\\c'");
    }
}
