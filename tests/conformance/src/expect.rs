//! The words in which checks say what must be so; it must not judge anything itself.

/// Fails unless both sides are the same JSON; says what was seen.
#[macro_export]
macro_rules! same {
    ($seen:expr, $wanted:expr) => {{
        let (seen, wanted) = (serde_json::json!($seen), serde_json::json!($wanted));
        anyhow::ensure!(seen == wanted, "{} is {seen}, not {wanted} (line {})", stringify!($seen), line!());
    }};
}

/// Fails if both sides are the same JSON.
#[macro_export]
macro_rules! differs {
    ($seen:expr, $other:expr) => {{
        let (seen, other) = (serde_json::json!($seen), serde_json::json!($other));
        anyhow::ensure!(seen != other, "{} is {seen}, which it must not be (line {})", stringify!($seen), line!());
    }};
}

/// Fails unless the text on the left contains each text on the right.
#[macro_export]
macro_rules! contains {
    ($seen:expr, $($wanted:expr),+ $(,)?) => {{
        let seen: String = AsRef::<str>::as_ref(&$seen).to_owned();
        $(anyhow::ensure!(seen.contains(AsRef::<str>::as_ref(&$wanted)), "{:?} is not in {seen:?} (line {})", $wanted, line!());)+
    }};
}

/// Fails if the text on the left contains any of the texts on the right.
#[macro_export]
macro_rules! lacks {
    ($seen:expr, $($other:expr),+ $(,)?) => {{
        let seen: String = AsRef::<str>::as_ref(&$seen).to_owned();
        $(anyhow::ensure!(!seen.contains(AsRef::<str>::as_ref(&$other)), "{:?} must not be in {seen:?} (line {})", $other, line!());)+
    }};
}
