//! Finds out whether the published credential works (talks to the network). Only a lasting refusal of an active client refutes it; everything else decides nothing.

use std::time::Duration;

use kube::runtime::events::EventType;
use tokio::time::Instant;

use super::{
    mint::show,
    moments::publication,
    observation::{ClientView, Observation, Organization, SecretView},
    observe_platform::read_client,
    pass::Pass,
    plan::Again,
    status::{Moment, Publication, Sight},
    validate::platform_grant,
};
use crate::{
    api::condition::Reason,
    controller::{error::Error, sessions::Session},
    genesys::{ClientCredential, ClientState, ErrorClass, Probe, probe},
    secret::Credential,
};

/// After how many refutation windows without a decision a person is asked.
const PATIENCE: u32 = 5;

/// Verifies a credential and notes the result.
pub async fn verify(pass: &mut Pass<'_>, seen: &Observation, credential: &Credential) -> Result<(), Error> {
    let Organization::Ready(_, session) = &seen.organization else { return Ok(()) };
    let revision = credential.revision;
    let found = match &credential.client_secret {
        None => match read_client(pass.context, session, &pass.uid(), &credential.client_id).await {
            Ok(ClientView::Present(client)) if client.state == ClientState::Active => Probe::Proven,
            // There is no secret to prove: the look alone decides.
            Ok(view) => {
                not_active(pass, seen, &view);
                return Ok(());
            }
            Err(error) if error.class() == ErrorClass::Withheld => {
                show(pass, &error);
                return Ok(());
            }
            Err(error) => Probe::Undecided { reason: error.cause() },
        },
        Some(secret) => {
            if let Some(wait) = login_turn(pass, session) {
                pass.again = Again::After(wait);
                if publication(&pass.status) == Publication::Unverified {
                    pass.moment = Some(Moment::Creating("the new credential is verified when its turn at the login host comes".to_owned()));
                }
                return Ok(());
            }
            let credential = ClientCredential { client_id: credential.client_id.clone(), client_secret: secret.clone() };
            match probe(&session.platform, &credential, platform_grant(seen.object.spec.grant_type), &session.organization_id).await {
                Ok(found) => found,
                Err(error) => {
                    show(pass, &error);
                    return Ok(());
                }
            }
        }
    };
    match found {
        Probe::Proven => proven(pass, seen, revision).await,
        Probe::Mismatch { reason } => {
            // A token was obtained, or could have been: that refutes nothing, and a new secret would not mend it.
            let message = format!(
                "the credential in Secret {:?} works for something else ({reason}): correct the client on the platform",
                seen.object.secret_name()
            );
            pass.status.verified_revision = None;
            pass.moment = Some(Moment::Stalled(Reason::VerificationBlocked, message));
            pass.again = Again::Backoff;
        }
        Probe::InvalidClient { description } => refused(pass, seen, session, credential, &description).await,
        Probe::Undecided { reason } => undecided(pass, seen, revision, &reason),
    }
    Ok(())
}

/// How long until this object's turn at the login host, which allows few tokens a minute; none if it has come.
fn login_turn(pass: &Pass<'_>, session: &Session) -> Option<Duration> {
    let now = Instant::now();
    match pass.remember(|memory| memory.login_turn.take()) {
        Some(turn) if turn <= now => None,
        Some(turn) => {
            pass.remember(|memory| memory.login_turn = Some(turn));
            Some(turn - now)
        }
        None => {
            let wait = session.platform.login_budget().appointment(session.platform.work())?;
            pass.remember(|memory| memory.login_turn = Some(now + wait));
            Some(wait)
        }
    }
}

/// Notes why a client that is not active can't be proven.
fn not_active(pass: &mut Pass<'_>, seen: &Observation, view: &ClientView) {
    pass.again = Again::Backoff;
    if matches!(view, ClientView::Present(_)) {
        pass.status.verified_revision = None;
    }
    match view {
        ClientView::Present(client) if client.state == ClientState::Disabled => {
            pass.moment =
                Some(Moment::Stalled(Reason::ClientDisabled, format!("Genesys disabled client {}: ask Genesys support", client.id)));
        }
        ClientView::Present(client) => {
            let message =
                format!("somebody made client {} inactive on the platform: activate it there, or set spec.state: Inactive", client.id);
            pass.moment = Some(Moment::Stalled(Reason::DeactivatedOutside, message));
        }
        // The next passes find out whether it is gone for good.
        _ => pass.again = Again::After(seen.times.window.max(Duration::from_secs(1))),
    }
}

async fn proven(pass: &mut Pass<'_>, seen: &Observation, revision: i64) {
    let now = Instant::now();
    let edited = match &seen.secret {
        SecretView::Ours(found) if !found.intact => found.resource_version.clone(),
        _ => None,
    };
    pass.remember(|memory| {
        memory.verified = Some((revision, now));
        memory.verify_again = memory.verify_again.filter(|at| *at > now);
        memory.refused_since = None;
        memory.undecided_since = None;
        memory.refuted = None;
        memory.edited_but_proven = edited;
    });
    if pass.status.verified_revision != Some(revision) {
        pass.status.verified_revision = Some(revision);
        let note = format!("the credential in Secret {:?} works", seen.object.secret_name());
        pass.event(EventType::Normal, "CredentialVerified", &note).await;
    }
}

async fn refused(pass: &mut Pass<'_>, seen: &Observation, session: &Session, credential: &Credential, description: &str) {
    let now = Instant::now();
    let revision = credential.revision;
    let since = pass.remember(|memory| match memory.refused_since {
        Some((known, since)) if known == revision => since,
        _ => {
            memory.refused_since = Some((revision, now));
            now
        }
    });
    let wait = (seen.times.refutation / 8).max(Duration::from_secs(1));
    pass.again = Again::After(wait);
    if publication(&pass.status) == Publication::Unverified {
        pass.moment = Some(Moment::Creating(format!("the login host does not accept the new credential yet ({description})")));
    }
    if now.duration_since(since) < seen.times.refutation {
        return;
    }
    // A disabled, an inactive and an unknown client give the same answer: only an active one refutes the secret.
    match read_client(pass.context, session, &pass.uid(), &credential.client_id).await {
        Ok(ClientView::Present(client)) if client.state == ClientState::Active => {
            pass.remember(|memory| memory.refuted = Some(revision));
            pass.status.verified_revision = None;
            pass.sight = Sight::Refuted;
            let note = format!("the login host refuses the credential in Secret {:?}", seen.object.secret_name());
            pass.event(EventType::Warning, "CredentialRejected", &note).await;
            pass.again = Again::After(Duration::ZERO);
        }
        Ok(view) => not_active(pass, seen, &view),
        Err(_) => {}
    }
}

fn undecided(pass: &mut Pass<'_>, seen: &Observation, revision: i64, reason: &str) {
    let now = Instant::now();
    let since = pass.remember(|memory| match memory.undecided_since {
        Some((known, since)) if known == revision => since,
        _ => {
            memory.undecided_since = Some((revision, now));
            now
        }
    });
    pass.again = Again::Backoff;
    if publication(&pass.status) != Publication::Unverified {
        return;
    }
    pass.moment = Some(if now.duration_since(since) >= seen.times.refutation * PATIENCE {
        let message = format!(
            "the credential in Secret {:?} could be neither proven nor refuted ({reason}): allow the operator's address on the login host, or look there yourself",
            seen.object.secret_name()
        );
        Moment::Stalled(Reason::VerificationBlocked, message)
    } else {
        Moment::Creating(format!("the new credential could not be verified yet ({reason})"))
    });
}
