//! The vectors of the kit for names, which are for every implementation: ours
//! agrees with each of them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use plimsoll_name::announcement::Announcement;
use plimsoll_name::record::{Record, Security};
use plimsoll_name::time::Time;
use plimsoll_name::{Address, Host, Prefix, Reference, Template};
use serde_json::Value;

use crate::world::{Client, World, two_zones};

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../kit/vectors").join(name)
}

fn vectors(section: &str) -> Vec<Value> {
    let bytes = std::fs::read(file("names.json")).expect("the vectors");
    let all: Value = serde_json::from_slice(&bytes).expect("JSON");
    all[section].as_array().expect(section).clone()
}

fn text<'a>(vector: &'a Value, member: &str) -> &'a str {
    vector[member].as_str().unwrap_or_else(|| panic!("{member} of {vector}"))
}

/// Compares what was found with what is expected: `is`, or `error`.
fn agrees(vector: &Value, found: Result<Value, impl std::fmt::Display>) {
    match found {
        Ok(found) => assert_eq!(Some(&found), vector.get("is"), "{vector}"),
        Err(error) => assert_eq!(vector["error"], true, "{vector}: {error}"),
    }
}

#[test]
fn references_and_prefixes_are_read_alike() {
    for vector in vectors("references") {
        let read = text(&vector, "text").parse::<Reference>();
        if let Ok(read) = &read {
            assert_eq!(read.to_string().parse::<Reference>().as_ref().ok(), Some(read));
        }
        agrees(&vector, read.map(|read| Value::from(read.to_string())));
    }
    for vector in vectors("prefixes") {
        let prefix: Prefix = text(&vector, "prefix").parse().expect("a prefix");
        let name: Reference = text(&vector, "name").parse().expect("a name");
        assert_eq!(vector["covers"], prefix.covers(&name.prefix()), "{vector}");
    }
}

#[test]
fn documents_of_hosts_are_read_alike() {
    for vector in vectors("records") {
        let texts: Vec<_> = vector["texts"].as_array().expect("texts").iter().collect();
        let found = Record::find(texts.iter().map(|text| text.as_str().expect("text").as_bytes()));
        agrees(&vector, found.map(|found| found.map(|found| found.to_text()).into()));
    }
    for vector in vectors("leads") {
        let host = Host::domain(text(&vector, "host")).expect("a host");
        let record = Record::parse(&format!("v=imn1; zone={}", text(&vector, "zone")));
        let record = record.expect("a record");
        assert_eq!(vector["insecure"], record.may_lead(&host, Security::Insecure), "{vector}");
        assert_eq!(vector["secure"], record.may_lead(&host, Security::Secure), "{vector}");
    }
    for vector in vectors("announcements") {
        let host = Host::domain(text(&vector, "host")).expect("a host");
        let read = Announcement::parse(text(&vector, "document").as_bytes(), &host);
        assert_eq!(vector["holds"], read.is_ok(), "{vector}: {:?}", read.err());
    }
    for vector in vectors("templates") {
        let base: Address = text(&vector, "base").parse().expect("an address");
        let values = vector["values"].as_object().expect("values");
        let values: Vec<_> = values
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().expect("text")))
            .collect();
        let found = Template::parse(text(&vector, "template"))
            .and_then(|template| template.absolute(&base)?.expand(&base, &values));
        agrees(&vector, found.map(|found| Value::from(found.to_string())));
    }
}

/// The files of the world that the cases about zones begin with.
fn files() -> BTreeMap<String, String> {
    let (world, ..) = two_zones();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    world.web.into_iter().map(|(address, bytes)| (address, text(bytes))).collect()
}

/// Keys and times of the tests are always the same, and so is what is signed.
/// `PLIMSOLL_BLESS=1` writes it anew.
#[test]
fn zones_of_the_vectors_are_those_that_we_publish() {
    let mut bytes = serde_json::to_vec_pretty(&files()).expect("JSON");
    bytes.push(b'\n');
    let path = file("zones.json");
    if std::env::var_os("PLIMSOLL_BLESS").is_some() {
        std::fs::write(&path, &bytes).expect("written");
    }
    assert!(std::fs::read(path).expect("the vectors") == bytes, "zones.json is another");
}

#[test]
fn zones_are_judged_alike() {
    let bytes = std::fs::read(file("zones.json")).expect("the vectors");
    let files: BTreeMap<String, String> = serde_json::from_slice(&bytes).expect("JSON");
    for vector in vectors("zones") {
        let mut web = files.clone();
        for change in vector["change"].as_array().expect("changes") {
            let address = text(change, "file").to_owned();
            if change["gone"] == true {
                assert!(web.remove(&address).is_some(), "{address} is not there");
                continue;
            }
            let new = match change.get("as") {
                Some(other) => files[other.as_str().expect("a file")].clone(),
                None => web[&address].replacen(text(change, "from"), text(change, "to"), 1),
            };
            assert_ne!(web.insert(address, new.clone()), Some(new), "{change} changes nothing");
        }
        let web = web.into_iter().map(|(address, text)| (address, text.into_bytes())).collect();
        let world = World { web, ..World::default() };
        let time = Time(vector["time"].as_i64().expect("a time"));
        let found = Client::default().at(&world, text(&vector, "name"), time);
        match found {
            Ok(found) => {
                assert_eq!(vector["digest"], found.descriptor.digest.to_string(), "{vector}");
            }
            Err(error) => assert_eq!(vector["error"], true, "{vector}: {error}"),
        }
    }
}
