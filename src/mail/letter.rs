//! What mails say. Text and HTML are made of the same sentences, so they say the same.

use serde_json::Value;

/// What the mails of one kind say. `{shop}` stands for the sender's name, other names in braces
/// for values of the mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    /// What it is called in the table of mails.
    pub kind: &'static str,
    /// The subject.
    pub subject: &'static str,
    /// The paragraphs above the link.
    pub opening: &'static [&'static str],
    /// What is to be followed.
    pub link: Option<Link>,
    /// The paragraphs below the link.
    pub closing: &'static [&'static str],
}

/// A link that carries the mail's token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// What it says.
    pub label: &'static str,
    /// The page of the storefront, below `mail.link_base`.
    pub path: &'static str,
}

/// A mail that was made from a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The subject.
    pub subject: String,
    /// For those who read text.
    pub text: String,
    /// The same for those who read HTML.
    pub html: String,
}

impl Template {
    /// The mail of that shop with these values; `token` goes into the link.
    pub fn letter(&self, shop: &str, payload: &Value, link_base: &str, token: &str) -> Letter {
        let fill = |text: &&str| filled(text, shop, payload);
        let subject = fill(&self.subject);
        let opening: Vec<String> = self.opening.iter().map(fill).collect();
        let closing: Vec<String> = self.closing.iter().map(fill).collect();
        let link = self.link.map(|Link { label, path }| {
            (label, format!("{}{path}?token={token}", link_base.trim_end_matches('/')))
        });
        let text_link = link.iter().map(|(label, url)| format!("{label}:\n{url}"));
        let text: Vec<String> =
            opening.iter().cloned().chain(text_link).chain(closing.iter().cloned()).collect();
        let paragraph = |text: &String| format!("<p>{}</p>\n", escaped(text));
        let html_link = link.iter().map(|(label, url)| {
            format!("<p><a href=\"{}\">{}</a></p>\n", escaped(url), escaped(label))
        });
        let body: String = opening
            .iter()
            .map(paragraph)
            .chain(html_link)
            .chain(closing.iter().map(paragraph))
            .collect();
        let html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
             <title>{}</title></head>\n<body>\n{body}</body>\n</html>\n",
            escaped(&subject)
        );
        Letter { subject, text: text.join("\n\n") + "\n", html }
    }
}

/// The text with its values, in one pass: braces in a value are only braces.
fn filled(text: &str, shop: &str, payload: &Value) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        filled.push_str(before);
        filled.push_str(match name {
            "shop" => shop,
            name => payload[name].as_str().unwrap_or_default(),
        });
        rest = after;
    }
    filled + rest
}

/// The text as HTML shows it, also inside of an attribute.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TEMPLATE: Template = Template {
        kind: "test",
        subject: "Hello from {shop}",
        opening: &["It becomes {email}, {nothing}{email}."],
        link: Some(Link { label: "Say yes", path: "/yes" }),
        closing: &["Good bye."],
    };

    #[test]
    fn text_and_html_say_the_same_with_the_link_in_both() {
        let payload = json!({"email": "ada@example.com"});
        let letter = TEMPLATE.letter("Mugs", &payload, "https://shop.example/", "dbm_1");
        assert_eq!(letter.subject, "Hello from Mugs");
        assert_eq!(
            letter.text,
            "It becomes ada@example.com, ada@example.com.\n\n\
             Say yes:\nhttps://shop.example/yes?token=dbm_1\n\nGood bye.\n"
        );
        let link = "<p><a href=\"https://shop.example/yes?token=dbm_1\">Say yes</a></p>";
        assert!(letter.html.contains(link), "{}", letter.html);
        assert!(letter.html.contains("<p>It becomes ada@example.com, ada@example.com.</p>"));
    }

    #[test]
    fn values_are_escaped_in_html_and_never_filled_in_again() {
        let payload = json!({"email": "\"<b>'&{shop}\"@example.com"});
        let letter = TEMPLATE.letter("A<B", &payload, "https://shop.example", "dbm_1");
        assert!(letter.text.contains("\"<b>'&{shop}\"@example.com"), "{}", letter.text);
        let shown = "&quot;&lt;b&gt;&#39;&amp;{shop}&quot;@example.com";
        assert!(letter.html.contains(shown), "{}", letter.html);
        assert!(!letter.html.contains("<b>") && letter.html.contains("A&lt;B"));
    }
}
