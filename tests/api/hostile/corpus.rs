//! The requests as they stand in the files, and as they go over the wire.
//!
//! `### ` begins a request and says what it is about, `=> ` the expected answer; then the request,
//! each line of which ends with CR LF unless it ends with a backslash. `\r`, `\n`, `\t`, `\0`,
//! `\xNN` and `\\` are single bytes, `{{text*3}}` is a repetition, `{{name}}` one of the values
//! below. A request without an empty line gets one. `!end`: the client sends nothing more.

use std::fmt::Write;

/// What differs from run to run.
pub struct Values {
    pub session: String,
    pub admin: &'static str,
}

/// One request.
pub struct Case {
    pub name: String,
    pub line: usize,
    pub expected: String,
    pub bytes: Vec<u8>,
    /// The client closes its side behind the request.
    pub ends: bool,
}

const ORDER: &str = r#"{"items":[{"sku":"A","quantity":1}],"email":"ada@example.com",
"shipping_address":{"name":"Ada","line1":"12 St James's Square","city":"London",
"postal_code":"SW1Y 4JH","country":"GB"},"payment":{"provider":"manual"}}"#;

/// A whole request that would supply a unit.
pub fn smuggled(admin: &str) -> String {
    let body = r#"{"sku":"A","quantity":1,"reason":"smuggled"}"#;
    format!(
        "POST /v1/admin/stock/adjustments HTTP/1.1\r\nHost: shop.example\r\n\
         Authorization: Bearer {admin}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// 60 KB of gzip that are 60 MB of zeros but for the check sum, which is wrong: nobody gets there.
fn bomb() -> Vec<u8> {
    let head: &[u8] =
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xec\xc1\x01\x01\x00\x00\x00\x80\x90\xfe\
        \xaf\xee\x08\x0a";
    [head, &[0; 60_000]].concat()
}

/// All requests of a file.
pub fn read(text: &str, values: &Values) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((at, line)) = lines.next() {
        let Some(name) = line.strip_prefix("### ") else { continue };
        let expected = lines.next().and_then(|(_, line)| line.strip_prefix("=> ")).unwrap();
        let mut request = Vec::new();
        while let Some((_, line)) = lines.next_if(|(_, line)| !line.starts_with("### ")) {
            request.push(line);
        }
        // The empty line before the next title.
        request.pop_if(|line| line.is_empty());
        let ends = request.pop_if(|line| *line == "!end").is_some();
        let bytes = whole(&request, values);
        let (name, expected) = (name.to_owned(), expected.to_owned());
        cases.push(Case { name, line: at + 1, expected, bytes, ends });
    }
    cases
}

fn whole(lines: &[&str], values: &Values) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines {
        match line.strip_suffix('\\').filter(|line| !line.ends_with('\\')) {
            Some(open) => bytes.extend(unescaped(open)),
            None => bytes.extend([unescaped(line), b"\r\n".to_vec()].concat()),
        }
    }
    let mut bytes = filled(&bytes, values);
    if !lines.iter().any(|line| line.is_empty()) && !bytes.ends_with(b"\n\n") {
        bytes.extend(b"\r\n");
    }
    measured(bytes)
}

/// The length of the body in place of `{{length}}`; such a body has no end of line behind it.
fn measured(mut bytes: Vec<u8>) -> Vec<u8> {
    let Some(at) = find(&bytes, b"{{length}}") else { return bytes };
    let body = find(&bytes, b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    if bytes.len() > body && bytes.ends_with(b"\r\n") {
        bytes.truncate(bytes.len() - 2);
    }
    let length = (bytes.len() - body).to_string();
    bytes.splice(at..at + "{{length}}".len(), length.into_bytes());
    bytes
}

fn unescaped(line: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), line.as_bytes());
    while let Some((&byte, more)) = rest.split_first() {
        rest = more;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let (&letter, more) = rest.split_first().expect("a letter behind a backslash");
        rest = more;
        bytes.push(match letter {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'0' => 0,
            b'\\' => b'\\',
            b'x' => {
                let (digits, more) = rest.split_at(2);
                rest = more;
                u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap()
            }
            other => panic!("what is \\{}?", char::from(other)),
        });
    }
    bytes
}

/// With the values in their places; `{{length}}` waits until all others are there.
fn filled(template: &[u8], values: &Values) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), template);
    while let Some(start) = find(rest, b"{{") {
        bytes.extend(&rest[..start]);
        let inside = &rest[start + 2..];
        let end = find(inside, b"}}").expect("the end of a placeholder");
        bytes.extend(value(&inside[..end], values));
        rest = &inside[end + 2..];
    }
    bytes.extend(rest);
    bytes
}

fn value(name: &[u8], values: &Values) -> Vec<u8> {
    if let Some(star) = name.iter().rposition(|&byte| byte == b'*') {
        let times = std::str::from_utf8(&name[star + 1..]).unwrap().parse().unwrap();
        return name[..star].repeat(times);
    }
    match std::str::from_utf8(name).unwrap() {
        "session" => values.session.clone().into(),
        "admin" => values.admin.into(),
        "order" => ORDER.into(),
        "bomb" => bomb(),
        "smuggled" => smuggled(values.admin).into(),
        "hex-length" => format!("{:x}", smuggled(values.admin).len()).into(),
        "length" => "{{length}}".into(),
        "placing" => {
            let mut head = "POST /v1/orders HTTP/1.1\r\nHost: shop.example\r\n".to_owned();
            let _ = write!(head, "Idempotency-Key: {}\r\n", crate::harness::fresh_key());
            head += "Content-Type: application/json\r\nContent-Length: {{length}}";
            head.into()
        }
        other => panic!("what is {other}?"),
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
