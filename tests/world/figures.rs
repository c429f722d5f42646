//! How many worlds a second one thread can tell. It judges nothing: `make figures` reads what it prints.

use std::time::Instant;

use serde_json::json;

use crate::scenario::once;

const WORLDS: u32 = 100;

#[test]
#[ignore = "it measures: make figures FILTER=conformance"]
fn worlds_per_second() {
    let begun = Instant::now();
    for seed in 0..WORLDS {
        once(u64::from(seed), async |world| {
            world.declare("billing", &json!({}));
            world.settles("billing").await;
        });
    }
    println!("{WORLDS} worlds in {:.2} s", begun.elapsed().as_secs_f64());
}
