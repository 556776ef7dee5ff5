//! Annotations of the runtime config: what the image says about itself
//! (CV11 to CV20, CV31), and its labels, which win (CV37).

use std::collections::BTreeMap;

use plimsoll_spec::{Config, Execution};

/// Beginnings of annotation names by which runtimes take orders: programs to
/// start, files to read, switches. Labels come from the image, and an image
/// gives no orders to a runtime (hostile case RT08, CVE-2026-53488): such
/// labels are left out of the runtime config, against CV19.
const ORDERS: &[&str] = &[
    // crun: handlers, hooks' output, seccomp receivers, mount contexts.
    "run.oci.",
    "module.wasm.",
    // crun and runc: the configuration file of CRIU.
    "org.criu.",
    // crun and runc: properties of the systemd unit.
    "org.systemd.property.",
    // Virtual machines and sandboxes: paths of the hypervisor, flags.
    "io.katacontainers.",
    "dev.gvisor.",
];

/// How many odd ports are told. An image may have any number of them.
const FINDINGS: usize = 20;

pub(super) fn annotations(
    config: &Config,
    execution: &Execution,
    more: &BTreeMap<String, String>,
    findings: &mut Vec<String>,
) -> BTreeMap<String, String> {
    let ports: Vec<&str> = execution.exposed_ports.keys().map(String::as_str).collect();
    for port in ports.iter().filter(|port| !is_port(port)).take(FINDINGS) {
        let shown: String = port.chars().take(80).collect();
        findings.push(format!("exposed port {shown:?} is none; it is only carried over"));
    }
    let implicit = [
        ("os", config.os.clone()),
        ("architecture", config.architecture.clone()),
        ("variant", config.variant.clone().unwrap_or_default()),
        ("os.version", config.os_version.clone().unwrap_or_default()),
        ("os.features", config.os_features.join(",")),
        ("author", config.author.clone().unwrap_or_default()),
        ("created", config.created.clone().unwrap_or_default()),
        ("stopSignal", execution.stop_signal.clone().unwrap_or_default()),
        ("exposedPorts", ports.join(",")),
    ];
    let mut annotations: BTreeMap<_, _> = implicit
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (format!("org.opencontainers.image.{name}"), value))
        .collect();
    for (name, value) in &execution.labels {
        if name.is_empty() {
            findings.push("a label without a name is left out: annotations need one".to_owned());
        } else if ORDERS.iter().any(|order| name.starts_with(order)) {
            findings.push(format!("label {name:?} is left out: runtimes take it for an order"));
        } else {
            annotations.insert(name.clone(), value.clone());
        }
    }
    annotations.extend(more.clone());
    annotations
}

/// Whether a text is `PORT`, `PORT/PROTOCOL` or `FIRST-LAST/PROTOCOL` (CF12).
fn is_port(text: &str) -> bool {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let number = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|port| digits && *port > 0)
    };
    matches!((number(first), number(last)), (Some(first), Some(last)) if first <= last)
        && ["tcp", "udp", "sctp"].contains(&protocol)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rt12_ports_that_do_not_exist_are_found() {
        for port in ["80", "80/tcp", "53/udp", "1-65535/sctp"] {
            assert!(is_port(port), "{port}");
        }
        for port in
            ["", "99999/tcp", "0", "1-65535/xxx", "9-1", "+80", "80/", "http", "-", "80/TCP"]
        {
            assert!(!is_port(port), "{port}");
        }
    }
}
