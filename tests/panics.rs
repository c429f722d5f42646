//! What a panic tells: its place and its object, and no secret. Alone in its process, because a hook is of the whole process.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
};

use genesys_cloud_simulator::secrets::Secrets;
use genesys_oauth_operator::observability::{
    logging::{self, LogFormat},
    panics,
};

const SECRET: &str = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY012";

/// A writer into memory.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic while writing").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_panic_is_told_with_its_place_and_object_and_without_a_secret() {
    let kept = Kept::default();
    let writer = kept.clone();
    logging::start(LogFormat::Json, "info", move || writer.clone(), vec![]).expect("there is no logger yet");
    let (mut secrets, held) = (Secrets::default(), SECRET.to_owned());
    secrets.learn(SECRET);
    let panics: [&dyn Fn(); 4] = [
        &|| panic!("words of the source"),
        &|| panic!("the answer was {held}"),
        &|| assert_eq!(held.parse::<u64>().map_err(|_| held.as_bytes()).unwrap(), 0),
        &|| std::panic::panic_any(held.clone()),
    ];
    let told_of = |panic: &dyn Fn()| {
        kept.0.lock().expect("no panic while writing").clear();
        let ended = logging::of_client("team-a", "billing", "acme").in_scope(|| catch_unwind(AssertUnwindSafe(panic)));
        assert!(ended.is_err(), "it is to panic");
        String::from_utf8(kept.0.lock().expect("no panic while writing").clone()).expect("text")
    };
    panics::are_logged();
    for panic in panics {
        let told = told_of(panic);
        let line: serde_json::Value = serde_json::from_str(&told).expect("one line of JSON");
        assert_eq!(line["level"], "ERROR", "{told}");
        assert_eq!(line["spans"][0]["object"], "team-a/billing", "{told}");
        assert!(line["place"].as_str().is_some_and(|place| place.starts_with("tests/panics.rs:")), "{told}");
        assert!(!secrets.are_in(&told), "a panic's words were told: {told}");
    }
    assert!(told_of(panics[0]).contains("words of the source"), "what holds no value helps whoever reads it");
    // Were a hook to tell the words, this would see it.
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    assert!(panics[1..3].iter().all(|panic| secrets.are_in(&told_of(*panic))), "the search finds no secret where there is one");
}
