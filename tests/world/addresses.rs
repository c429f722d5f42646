//! Whether each line of an operator's log says whom it is about. It must not judge what else a line says.

/// What speaks of the process, and of no object.
const OF_THE_PROCESS: [&str; 4] = [
    "genesys_oauth_operator::lease",
    "genesys_oauth_operator::run: ",
    "genesys_oauth_operator::controller::context: stopping",
    "failed; it is begun again",
];

/// The lines without an object, of those that this crate wrote.
pub fn unaddressed(log: &str) -> Vec<&str> {
    let ours = |line: &&str| {
        let words = line.trim_start();
        let begins = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].iter().any(|level| words.starts_with(level));
        begins && (line.contains("genesys_oauth_operator::") || line.contains(" audit: "))
    };
    let of_nobody = |line: &&str| !line.contains("object=") && !OF_THE_PROCESS.iter().any(|known| line.contains(known));
    log.lines().filter(ours).filter(of_nobody).collect()
}

#[test]
fn a_line_of_nobody_is_found() {
    let line = " WARN genesys_oauth_operator::controller::oauth_client::mint: unknown outcome";
    let log = format!(
        "{line}\n INFO client{{object=team-a/billing organization=acme}}: audit: platform write\n INFO genesys_oauth_operator::lease::keeper: got it\n"
    );
    assert_eq!(unaddressed(&log), [line]);
}
