//! What a check is, and how lists of them are written; it must not run any.

use std::future::Future;
use std::pin::Pin;

use anyhow::Result;

use crate::capability::Need;
use crate::ground::Ground;

/// A check at work.
pub type Running = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// One named thing that must be so on every server.
#[derive(Clone, Copy)]
pub struct Check {
    /// What must be so, in words joined by underscores.
    pub name: &'static str,
    /// What it belongs to.
    pub group: &'static str,
    /// What the server must be able to do for the check to be judged.
    pub needs: &'static [Need],
    /// Runs it on its ground.
    pub run: fn(Ground) -> Running,
}

/// Lists async functions over `&Ground` as the checks of a group: `checks!("group", [Need, …]; one, two)`.
#[macro_export]
macro_rules! checks {
    ($group:literal, $needs:expr; $($name:ident),+ $(,)?) => {
        &[$($crate::check::Check {
            name: stringify!($name),
            group: $group,
            needs: &$needs,
            run: |ground| Box::pin(async move { $name(&ground).await }),
        }),+]
    };
}
