//! What somebody wrote into registries.conf: nothing panics, what is blocked
//! leads nowhere, and whatever it leads to is a well-formed name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_registry::conf::Conf;
use plimsoll_registry::protocol::Image;

fuzz_target!(|bytes: &[u8]| {
    let Ok(conf) = Conf::parse(bytes) else { return };
    for name in ["a.example.com/org/app:v1", "docker.io/app", "localhost:5000/a/b:v2", "a.test"] {
        let image: Image = name.parse().expect("a name");
        let asked = image.address.as_ref();
        let Ok(route) = conf.route(&image.host, image.repository.as_ref(), asked) else { continue };
        for way in route.mirrors.iter().chain([&route.location]) {
            let image = Image {
                host: way.host.clone(),
                repository: way.repository.clone(),
                address: way.address.clone(),
            };
            assert_eq!(image.to_string().parse::<Image>().expect("a name"), image);
        }
    }
    for short in ["app", "org/app:v1"] {
        for meaning in conf.meanings(short).into_iter().flatten() {
            let _ = meaning.name.parse::<Image>();
        }
    }
    // The same again changes nothing.
    let mut twice = conf.clone();
    twice.merge(conf.clone());
    assert_eq!(twice, conf);
});
