//! Signed JSON: read once, strictly, with exactly the members that a form has.

use plimsoll_content::json;
use serde_json::{Map, Value};

use crate::reason::{Reason, Why, quoted};

/// A JSON object without double names, not nested deeper than `depth`.
pub(crate) fn object(what: &str, bytes: &[u8], depth: usize) -> Result<Map<String, Value>, Reason> {
    json::check_within(what, bytes, depth).map_err(Reason::malformed)?;
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(Reason::malformed(format!("{what} is no JSON object"))),
        Err(cause) => Err(Reason::malformed(format!("{what}: {cause}"))),
    }
}

/// That an object has these members and no others.
pub(crate) fn exactly(
    what: &str,
    object: &Map<String, Value>,
    names: &[&str],
) -> Result<(), Reason> {
    for name in object.keys() {
        if !names.contains(&name.as_str()) {
            return Err(Reason::malformed(format!(
                "{what} has a member {}, which the form does not know",
                quoted(name)
            )));
        }
    }
    for name in names {
        if !object.contains_key(*name) {
            return Err(Reason::malformed(format!("{what} has no {name}")));
        }
    }
    Ok(())
}

/// That no member can be taken for another one by ignoring case.
pub(crate) fn no_lookalikes(
    what: &str,
    object: &Map<String, Value>,
    names: &[&str],
) -> Result<(), Reason> {
    for name in object.keys().filter(|name| !names.contains(&name.as_str())) {
        if let Some(known) = json::lookalike(name, names) {
            return Err(Reason::malformed(format!(
                "{what} has a member {}, which some read as {known}",
                quoted(name)
            )));
        }
    }
    Ok(())
}

/// A member that is an object.
pub(crate) fn member<'a>(
    what: &str,
    object: &'a Map<String, Value>,
    name: &str,
) -> Result<&'a Map<String, Value>, Reason> {
    object
        .get(name)
        .and_then(Value::as_object)
        .ok_or_else(|| Reason::malformed(format!("{what}: {name} is no object")))
}

/// A member that is an object, if it is there.
pub(crate) fn optional<'a>(
    what: &str,
    object: &'a Map<String, Value>,
    name: &str,
) -> Result<Option<&'a Map<String, Value>>, Reason> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(found)) => Ok(Some(found)),
        Some(_) => Err(Reason::malformed(format!("{what}: {name} is no object"))),
    }
}

/// A member that is a string.
pub(crate) fn string<'a>(
    what: &str,
    object: &'a Map<String, Value>,
    name: &str,
) -> Result<&'a str, Reason> {
    object
        .get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| Reason::malformed(format!("{what}: {name} is no string")))
}

/// That there are at most so many.
pub(crate) fn most(what: &str, found: usize, most: usize) -> Result<(), Reason> {
    if found > most {
        return Err(Reason::new(Why::Limit, format!("{found} {what}, more than {most}")));
    }
    Ok(())
}

/// That it is at most so long.
pub(crate) fn within(what: &str, length: usize, most: u64) -> Result<(), Reason> {
    if length as u64 > most {
        return Err(Reason::new(Why::Limit, format!("{what} of {length} bytes, more than {most}")));
    }
    Ok(())
}
