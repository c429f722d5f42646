//! What a demo prints: titles, commands, notes, with colours on a terminal alone. It must not interpret what it prints.

use std::io::{IsTerminal as _, Write as _};

/// Prints a line. Nobody may read any more; then there is nobody to tell.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

fn paint(code: &str, text: &str) -> String {
    let coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if coloured { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// A heading.
pub fn title(text: &str) {
    say(&format!("\n{}", paint("1;36", &format!("== {text} =="))));
}

/// A command as a person types it.
pub fn command(line: &str) {
    say(&format!("\n{} {}", paint("2", "$"), paint("1", line)));
}

/// A remark beside what is shown.
pub fn note(text: &str) {
    say(&paint("2", &format!("  - {text}")));
}
