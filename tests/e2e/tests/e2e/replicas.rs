//! Two replicas as real processes: killed, halted and ended at random moments. It demands what must come of it and judges no time.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e_support::harness::Harness;
use e2e_support::replicas::{Strikes, struck, successor_waits};
use e2e_support::runner::{Scenario, say};

pub(crate) fn scenarios() -> Vec<Scenario> {
    let scenario = Scenario::new("replicas/SIGKILL, SIGSTOP and SIGTERM at random moments of creates and rotations", survived);
    let successor =
        Scenario::new("replicas/a process is not the holder because its predecessor in the same pod was", |harness| async move {
            successor_waits(&harness).await
        });
    vec![scenario.within(Duration::from_secs(900)), successor]
}

async fn survived(harness: Arc<Harness>) -> Result<()> {
    let strikes = Strikes { kills: 10, halts: 10, terminations: 2 };
    let seen = struck(&harness, "replicas", strikes).await?;
    ensure!(seen.lost == 0 && seen.duplicates == 0, "{} objects harmed, {} duplicates: {:?}", seen.lost, seen.duplicates, seen.harm);
    ensure!(seen.rotations > strikes.kills, "only {} rotations were asked for", seen.rotations);
    ensure!(seen.logins > 0, "no application logged in");
    ensure!(seen.refused == 0, "{} of {} logins with a published credential were refused", seen.refused, seen.logins);
    let made = (seen.after_kills.len(), seen.halts, seen.after_terminations.len());
    ensure!(made == (strikes.kills, strikes.halts, strikes.terminations), "strikes were left out: {made:?}");
    ensure!(seen.halts_with_takeover > 0, "no halt outlasted the lease");
    say(&format!(
        "  replicas: {} objects, {} rotations; takeover after SIGKILL {:.1?} s, after SIGTERM {:.2?} s, in {} of {} halts; {} logins, none refused",
        seen.objects, seen.rotations, seen.after_kills, seen.after_terminations, seen.halts_with_takeover, strikes.halts, seen.logins
    ));
    Ok(())
}
