//! Tests are named with sentences: the list of their names says what the system promises.

use super::scan::{Source, functions, name_at};
use super::tree::{Finding, all_rust, hold, planted};
use crate::TEST_NAME_WORDS_MIN;

/// The tests of a file: the offset of `fn`, and the name.
fn tests(source: &Source) -> Vec<(usize, &str)> {
    let functions = functions(&source.code);
    let is_test = |attribute: &str| attribute == "test" || attribute.ends_with("::test");
    let marks = source.code.match_indices("#[").filter(|(at, _)| {
        let attribute = source.code[at + 2..].split([']', '(', '=']).next();
        attribute.is_some_and(is_test)
    });
    let named = marks.filter_map(|(mark, _)| {
        let at = *functions.iter().find(|at| **at > mark)?;
        Some((at, name_at(&source.code, at + 2)))
    });
    named.collect()
}

fn short_names(source: &Source) -> Vec<Finding> {
    let finding = |(at, name): (usize, &str)| {
        let words = name.split('_').filter(|word| !word.is_empty()).count();
        let what = format!(
            "the test `{name}` is named with {words} words, at least {TEST_NAME_WORDS_MIN} make \
             a sentence: say what is claimed (`the_last_unit_is_sold_once`)"
        );
        (words < TEST_NAME_WORDS_MIN).then(|| source.finding(at, what))
    };
    tests(source).into_iter().filter_map(finding).collect()
}

#[test]
fn the_names_of_tests_are_sentences() {
    let with_tests = all_rust().into_iter().filter(|source| !tests(source).is_empty());
    hold(&with_tests.collect::<Vec<_>>(), short_names);
}

#[test]
fn planted_names_that_are_no_sentences_are_found() {
    let text = "#[test]\nfn works() {}\n#[tokio::test(flavor = \"x\")]\n#[ignore]\n\
                async fn orders_are_placed() {}\n#[test]\nfn the_last_unit_is_sold_once() {}\n\
                fn helper() {}\nconst A: &str = \"#[test]\nfn b() {}\";\n#[cfg(test)]\nfn c() {}\n\
                proptest! {\n    #[test]\n    fn sums(a in 0..9) {}\n}\n";
    assert_eq!(planted(short_names, "tests/api/orders.rs", text), [2, 5, 15]);
}
