//! Text that becomes part of a page, and numbers as people read them.

use std::fmt::{self, Display, Write};
use time::OffsetDateTime;

/// Text from outside, with everything escaped that means something in HTML, in an element or in
/// a quoted attribute.
pub struct Escaped<T>(pub T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|char| match char {
            '&' => self.0.write_str("&amp;"),
            '<' => self.0.write_str("&lt;"),
            '>' => self.0.write_str("&gt;"),
            '"' => self.0.write_str("&quot;"),
            '\'' => self.0.write_str("&#39;"),
            // Not allowed in HTML at all.
            char if char.is_control() && !matches!(char, '\n' | '\t') => {
                self.0.write_char('\u{fffd}')
            }
            char => self.0.write_char(char),
        })
    }
}

/// Escapes text from outside.
pub fn esc<T: Display>(text: T) -> Escaped<T> {
    Escaped(text)
}

/// A count, with a narrow space between thousands.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number with about three digits that mean something.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        "–".to_owned()
    } else if size >= 100.0 || size == 0.0 {
        let sign = if value < 0.0 { "−" } else { "" };
        format!("{sign}{}", count(size.round() as u64))
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// Milliseconds, or seconds where there are many.
pub fn duration(ms: f64) -> String {
    if ms >= 10_000.0 {
        format!("{} s", number(ms / 1_000.0))
    } else {
        format!("{} ms", number(ms))
    }
}

/// A share, 0 to 1, in percent.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 0.1 { "< 0.1 %".to_owned() } else { format!("{percent:.1} %") }
}

/// A moment in UTC, from microseconds since 1970.
pub fn moment(us: u64) -> String {
    let seconds = i64::try_from(us / 1_000_000).unwrap_or(0);
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let ((hour, minute, second), date) = (time.to_hms(), time.date());
    format!("{date} {hour:02}:{minute:02}:{second:02} UTC")
}

/// A table with a header; cells are markup. All columns but the first hold numbers.
pub fn table(class: &str, header: &[&str], rows: &[Vec<String>]) -> String {
    let mut html = format!("<div class=\"scroll\"><table class=\"{class}\"><thead><tr>");
    for name in header {
        let _ = write!(html, "<th scope=\"col\">{name}</th>");
    }
    html.push_str("</tr></thead><tbody>");
    for row in rows {
        html.push_str("<tr>");
        for (n, cell) in row.iter().enumerate() {
            let _ = match n {
                0 => write!(html, "<th scope=\"row\">{cell}</th>"),
                _ => write!(html, "<td>{cell}</td>"),
            };
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table></div>");
    html
}

/// What is folded away until somebody wants it.
pub fn folded(summary: &str, inside: &str) -> String {
    format!("<details><summary>{summary}</summary>{inside}</details>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        let hostile = "</script><img src=x onerror='alert(1)'>&\"\u{0}";
        assert_eq!(
            esc(hostile).to_string(),
            "&lt;/script&gt;&lt;img src=x onerror=&#39;alert(1)&#39;&gt;&amp;&quot;\u{fffd}"
        );
    }

    #[test]
    fn numbers_have_three_digits_that_mean_something() {
        let cases = [(0.0, "0"), (0.1234, "0.12"), (12.34, "12.3"), (-1234.5, "−1\u{202f}235")];
        for (value, expected) in cases {
            assert_eq!(number(value), expected);
        }
        assert_eq!((number(f64::NAN), count(999)), ("–".to_owned(), "999".to_owned()));
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!((duration(2.5).as_str(), duration(12_000.0).as_str()), ("2.50 ms", "12.0 s"));
        assert_eq!((percent(0.0002).as_str(), percent(0.0).as_str()), ("< 0.1 %", "0.0 %"));
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_709_251_199, "2024-02-29 23:59:59 UTC"),
            (1_767_225_600, "2026-01-01 00:00:00 UTC"),
        ] {
            assert_eq!(moment(seconds * 1_000_000), expected);
        }
    }
}
