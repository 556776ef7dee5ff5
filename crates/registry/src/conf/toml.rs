//! Files of settings in TOML, as the value that JSON would have.

use plimsoll_content::{Code, Error, Result};
use serde_json::{Map, Number, Value};
use toml::de::{DeTable, DeValue};

/// The largest file of settings that is read.
pub const LIMIT: u64 = 4 << 20;

/// How much of the message of the parser is shown.
const SHOWN: usize = 300;

/// Reads TOML. Dates are text afterwards, and so are numbers that JSON has no
/// form for.
///
/// Errors with [`Code::Malformed`] if it is no TOML, with the line.
pub fn parse(bytes: &[u8], what: &str) -> Result<Value> {
    let bad = |found: String| {
        Error::new(Code::Malformed, format!("reading {what}")).found(found).expected("TOML")
    };
    if bytes.len() as u64 > LIMIT {
        return Err(Error::new(Code::Limit, format!("reading {what}"))
            .found(format!("{} bytes", bytes.len()))
            .expected(format!("at most {LIMIT}")));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| bad("bytes that are no UTF-8".into()))?;
    let table = DeTable::parse(text).map_err(|cause| {
        let line = cause.span().map(|span| text[..span.start].matches('\n').count() + 1);
        let at = line.map(|line| format!(" in line {line}")).unwrap_or_default();
        let said: String = cause.message().chars().take(SHOWN).collect();
        bad(format!("{said}{at}"))
    })?;
    Ok(object(table.get_ref()))
}

fn object(table: &DeTable<'_>) -> Value {
    let members = table.iter();
    let members: Map<_, _> = members
        .map(|(name, member)| (name.get_ref().to_string(), value(member.get_ref())))
        .collect();
    Value::Object(members)
}

fn value(found: &DeValue<'_>) -> Value {
    match found {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(truth) => Value::Bool(*truth),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| number.to_string().into(), |number| Value::Number(number.into())),
        DeValue::Float(number) => {
            let number = number.as_str().parse().ok().and_then(Number::from_f64);
            number.map_or_else(|| found_text(found), Value::Number)
        }
        DeValue::Datetime(date) => Value::String(date.to_string()),
        DeValue::Array(entries) => {
            Value::Array(entries.iter().map(|entry| value(entry.get_ref())).collect())
        }
        DeValue::Table(table) => object(table),
    }
}

fn found_text(found: &DeValue<'_>) -> Value {
    match found {
        DeValue::Float(number) => Value::String(number.as_str().to_owned()),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn toml_has_the_value_of_json() {
        let text = "a = 'x'\nb = [1, 0x10, true]\n[c.d]\ne = 1979-05-27\n[[f]]\ng = 1.5\n";
        assert_eq!(
            parse(text.as_bytes(), "x").expect("TOML"),
            json!({"a": "x", "b": [1, 16, true], "c": {"d": {"e": "1979-05-27"}}, "f": [{"g": 1.5}]})
        );
    }

    #[test]
    fn what_is_no_toml_is_refused_with_its_line() {
        let error = parse(b"a = 1\nb = ]\n", "settings").expect_err("no TOML");
        assert_eq!(error.code(), Code::Malformed);
        assert!(error.to_string().contains("line 2"), "{error}");
        let deep = "a = ".to_owned() + &"[".repeat(100_000);
        for bad in [&b"\xff"[..], b"a = 1\na = 2", deep.as_bytes()] {
            assert!(parse(bad, "settings").is_err());
        }
    }
}
