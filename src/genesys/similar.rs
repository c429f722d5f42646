//! Suggests names that look like one that was not found: pure, and bounded in what it compares.

/// The most suggestions.
const MOST: usize = 3;
/// Longer names are not compared letter by letter.
const LONGEST: usize = 128;

/// Up to three of the names that look like `wanted`, the most alike first.
pub(super) fn similar<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let wanted = wanted.to_lowercase();
    let limit = wanted.chars().count().div_ceil(4).clamp(1, 4);
    let mut found: Vec<(usize, &str)> = names
        .filter(|name| name.len() <= LONGEST && wanted.len() <= LONGEST)
        .map(|name| (distance(&wanted, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= limit)
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().take(MOST).map(|(_, name)| name.to_owned()).collect()
}

/// How many letters must be put in, left out or replaced to turn one text into the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_alike_come_first() {
        let names = ["Clerk", "clerks", "Clrek", "Supervisor", "admin"];
        assert_eq!(similar("clerk", names.into_iter()), ["Clerk", "clerks", "Clrek"]);
        assert_eq!(similar("users:readonli", ["users", "users:readonly", "user-basic-info"].into_iter()), ["users:readonly"]);
        assert!(similar("xyz", names.into_iter()).is_empty());
        assert!(similar(&"x".repeat(100_000), names.into_iter()).is_empty());
    }

    #[test]
    fn distance_counts_letters() {
        for (one, other, letters) in [("", "", 0), ("a", "", 1), ("", "ab", 2), ("kitten", "sitting", 3), ("über", "uber", 1)] {
            assert_eq!(distance(one, other), letters, "{one} {other}");
            assert_eq!(distance(other, one), letters, "{other} {one}");
        }
    }
}
