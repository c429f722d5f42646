//! How many secrets a hostile platform repeats and how many of them are told, and what of the rights granted is used. It judges nothing:
//! `make figures` reads what it prints.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{
    canary::{STATUSES, errors_repeat, operations, texts_repeat},
    least_power::{for_a_namespace, for_the_cluster, that_restarts, unused},
};

#[test]
#[ignore = "it measures: make figures FILTER=security"]
fn secrets_that_are_told() {
    let (mut worlds, mut leaks) = (0, 0);
    let mut live = |life: &dyn Fn()| {
        worlds += 1;
        // A world whose end finds a secret ends in a panic.
        leaks += usize::from(catch_unwind(AssertUnwindSafe(life)).is_err());
    };
    for operation in operations() {
        for statuses in STATUSES {
            live(&|| errors_repeat(operation, statuses));
        }
        live(&|| texts_repeat(operation));
    }
    println!("figure canary.worlds {worlds} worlds");
    println!("figure canary.leaks {leaks} worlds");
}

#[test]
#[ignore = "it measures: make figures FILTER=security"]
fn rights_that_are_used() {
    for (name, (plan, targets)) in [("cluster", for_the_cluster()), ("restarts", that_restarts()), ("namespace", for_a_namespace())] {
        let (unused, granted) = unused(plan, targets);
        println!("figure rights.{name}.granted {granted} rights");
        println!("figure rights.{name}.unused {} rights", unused.len());
    }
}
