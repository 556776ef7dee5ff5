//! The form of JSON that signatures of TUF are over: sorted members, no white
//! space, and no escapes but for the quote and the backslash.

use plimsoll_content::{Code, Error, Result};
use serde_json::Value;

/// The canonical form of a value, which must hold whole numbers only.
pub fn canonical(value: &Value) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    write(value, &mut out)?;
    Ok(out)
}

fn write(value: &Value, out: &mut Vec<u8>) -> Result<()> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => {
            let text = number.to_string();
            let digits = text.strip_prefix('-').unwrap_or(&text);
            if text == "-0" || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(Error::new(Code::Malformed, "reading signed metadata")
                    .found(text)
                    .expected("whole numbers only"));
            }
            out.extend_from_slice(text.as_bytes());
        }
        Value::String(text) => string(text, out),
        Value::Array(elements) => {
            out.push(b'[');
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(element, out)?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            // The order of bytes in UTF-8 is that of code points.
            members.sort_by_key(|(name, _)| *name);
            out.push(b'{');
            for (at, (name, value)) in members.into_iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                string(name, out);
                out.push(b':');
                write(value, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' || byte == b'\\' {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_quotes_and_backslashes_are_escaped() {
        let value = serde_json::json!({"b": [1, -2, null, true], "a": "x\"\\\n\u{e9}", "é": {}});
        let text = String::from_utf8(canonical(&value).expect("written")).expect("UTF-8");
        assert_eq!(text, "{\"a\":\"x\\\"\\\\\n\u{e9}\",\"b\":[1,-2,null,true],\"é\":{}}");
        for text in ["1.0", "1e3", "-0"] {
            let value: Value = serde_json::from_str(text).expect("json");
            assert!(canonical(&value).is_err(), "{text}");
        }
    }
}
