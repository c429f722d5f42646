//! The scopes of the platform, from the list in `scopes.txt`; it must not know who holds one.

use std::sync::LazyLock;

/// A scope: its name and what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
}

/// All scopes by name. The names are those that operations of the public specification ask for; official descriptions are
/// unpublished, so these are derived. (U)
static SCOPES: LazyLock<Vec<Scope>> = LazyLock::new(|| {
    include_str!("../scopes.txt")
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, description)| Scope { name, description })
        .collect()
});

pub(crate) fn all() -> &'static [Scope] {
    &SCOPES
}

pub(crate) fn find(name: &str) -> Option<Scope> {
    SCOPES.iter().copied().find(|scope| scope.name == name)
}

pub(crate) fn exists(name: &str) -> bool {
    find(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_complete_and_each_scope_is_described() {
        assert_eq!(all().len(), 134);
        assert!(all().iter().all(|scope| !scope.description.is_empty()));
        assert!(exists("oauth:readonly") && !exists("oauth:write"));
    }
}
