//! The checks by group; it must not hold any check itself.

mod access;
mod apply_conflicts;
mod apply_ownership;
mod built_in;
mod cel_create;
mod cel_update;
mod concurrency;
mod creation;
mod definitions;
mod deletion;
mod discovery;
mod expiry;
mod finalizers;
mod formats;
mod kubectl_follow;
mod kubectl_read;
mod kubectl_write;
mod lists;
mod patches;
mod records;
mod schema;
mod status;
mod tables;
mod watches;
mod workloads;

use crate::check::Check;

/// Every check, in the order in which groups are told.
#[must_use]
pub fn all() -> Vec<Check> {
    [
        creation::CHECKS,
        concurrency::CHECKS,
        apply_ownership::CHECKS,
        apply_conflicts::CHECKS,
        status::CHECKS,
        deletion::CHECKS,
        finalizers::CHECKS,
        watches::CHECKS,
        expiry::CHECKS,
        expiry::COMPACTED,
        lists::CHECKS,
        lists::SELECTORS,
        lists::SELECTABLE,
        lists::STREAMING,
        patches::CHECKS,
        patches::DRY,
        patches::META,
        tables::CHECKS,
        tables::WATCHES,
        schema::DEFAULTS,
        schema::PRUNING,
        schema::VALIDATION,
        schema::STRICT,
        formats::CHECKS,
        definitions::CHECKS,
        cel_create::CHECKS,
        cel_create::DEFINITION_CHECKS,
        cel_update::CHECKS,
        built_in::SECRETS,
        built_in::NAMESPACES,
        records::LEASES,
        records::EVENTS,
        workloads::CHECKS,
        access::CHECKS,
        discovery::CHECKS,
        discovery::OPENAPI,
        discovery::AGGREGATED,
        kubectl_read::CHECKS,
        kubectl_follow::CHECKS,
        kubectl_write::CHECKS,
    ]
    .concat()
}
