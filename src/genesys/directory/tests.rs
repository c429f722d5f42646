//! What names stand for, and how often the platform is asked. It opens no connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::super::testing::{Answer, Scripted, page, platform, refusal_answer};
use super::*;

const CLERK: &str = "11111111-1111-4111-8111-111111111111";
const SALES: &str = "22222222-2222-4222-8222-222222222222";
const HOME_ID: &str = "33333333-3333-4333-8333-333333333333";

fn lists(path: &str) -> Value {
    match path {
        "/api/v2/authorization/roles" => json!([
            {"id": CLERK, "name": "Clerk"}, {"id": "r2", "name": "Twin"}, {"id": "r3", "name": "Twin"}, {"id": "r4", "name": "Clerks"},
        ]),
        "/api/v2/authorization/divisions" => json!([
            {"id": HOME_ID, "name": "Home Office", "homeDivision": true}, {"id": SALES, "name": "Sales", "homeDivision": false},
            {"id": "d3", "name": "Both"}, {"id": "d4", "name": "Both"},
        ]),
        "/api/v2/oauth/scopes" => json!([{"id": "users"}, {"id": "users:readonly"}]),
        other => panic!("{other}"),
    }
}

fn scripted() -> Arc<Scripted> {
    Scripted::new(|request| page(&lists(request.uri().path())).after(Duration::from_secs(1)))
}

fn role(role: &str, divisions: &[&str]) -> RoleRequest {
    RoleRequest { role: role.to_owned(), divisions: divisions.iter().map(|division| (*division).to_owned()).collect() }
}

fn pairs(resolved: &Resolved) -> Vec<(&str, &str)> {
    resolved.role_divisions.iter().map(|pair| (pair.role_id.as_str(), pair.division_id.as_str())).collect()
}

async fn resolve(roles: &[RoleRequest], scopes: &[&str]) -> Result<Resolved, Unresolved> {
    let scopes: Vec<String> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    Directory::new().resolve(&platform(&scripted()), roles, &scopes).await.expect("the platform answers")
}

#[tokio::test(start_paused = true)]
async fn names_ids_home_and_all() {
    let resolved = resolve(&[role("Clerk", &[])], &[]).await.expect("found");
    assert_eq!(pairs(&resolved), [(CLERK, HOME_ID)]);
    assert_eq!(resolved.role_names[CLERK], "Clerk");
    assert_eq!(resolved.division_names[HOME_ID], "Home Office");
    let resolved = resolve(&[role(&CLERK.to_uppercase(), &["*", "home", "Sales", SALES])], &["users"]).await.expect("found");
    assert_eq!(pairs(&resolved), [(CLERK, "*"), (CLERK, SALES), (CLERK, HOME_ID)]);
    assert!(resolve(&[], &[]).await.expect("nothing to find").role_divisions.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_found_is_said_with_what_looks_like_it() {
    let absent = "99999999-9999-4999-8999-999999999999";
    for (roles, scopes, words) in [
        (vec![role("clerk", &[])], vec![], "there is no role \"clerk\"; similar: Clerk, Clerks"),
        (vec![role(absent, &[])], vec![], "there is no role \"99999999-9999-4999-8999-999999999999\""),
        (vec![role("Twin", &[])], vec![], "several roles are named \"Twin\"; write the id of one: r2, r3"),
        (vec![role("Clerk", &["Sale"])], vec![], "there is no division \"Sale\"; similar: Sales"),
        (vec![role("Clerk", &["Both"])], vec![], "several divisions are named \"Both\"; write the id of one: d3, d4"),
        (vec![], vec!["users:readonli"], "there is no scope \"users:readonli\"; similar: users:readonly"),
    ] {
        assert_eq!(resolve(&roles, &scopes).await.expect_err(words).to_string(), words);
    }
}

#[tokio::test(start_paused = true)]
async fn lists_are_kept_for_five_minutes_and_fetched_once_for_all() {
    let transport = scripted();
    let (platform, directory) = (platform(&transport), Directory::new());
    let wanted = [role("Clerk", &[])];
    let all = futures::future::join_all((0..20).map(|_| directory.resolve(&platform, &wanted, &[]))).await;
    assert!(all.iter().all(|result| matches!(result, Ok(Ok(_)))));
    assert_eq!(transport.calls().len(), 2, "{:?}", transport.calls());
    tokio::time::sleep(Duration::from_secs(290)).await;
    directory.resolve(&platform, &wanted, &[]).await.expect("answered").expect("found");
    assert_eq!(transport.calls().len(), 2);
    tokio::time::sleep(Duration::from_secs(20)).await;
    directory.resolve(&platform, &wanted, &[]).await.expect("answered").expect("found");
    assert_eq!(transport.calls().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_miss_is_looked_up_again_but_not_more_often_than_every_30_seconds() {
    let created = Arc::new(AtomicBool::new(false));
    let transport = Scripted::new({
        let created = Arc::clone(&created);
        move |request| -> Answer {
            let mut list = lists(request.uri().path());
            if request.uri().path().ends_with("roles") && created.load(Ordering::Relaxed) {
                list.as_array_mut().expect("a list").push(json!({"id": "r9", "name": "Fresh"}));
            }
            page(&list)
        }
    });
    let (platform, directory) = (platform(&transport), Directory::new());
    let wanted = [role("Fresh", &[])];
    for _ in 0..10 {
        assert!(directory.resolve(&platform, &wanted, &[]).await.expect("answered").is_err());
    }
    assert_eq!(transport.calls().len(), 2);
    created.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert!(directory.resolve(&platform, &wanted, &[]).await.expect("answered").is_err());
    tokio::time::sleep(Duration::from_secs(1)).await;
    directory.resolve(&platform, &wanted, &[]).await.expect("answered").expect("found");
    assert_eq!(transport.calls().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_passed_on_and_not_kept() {
    let mut first = true;
    let transport = Scripted::new(move |request| {
        if std::mem::take(&mut first) {
            return refusal_answer(403, "missing.any.permissions", "one of: [authorization:role:view]");
        }
        page(&lists(request.uri().path()))
    });
    let (platform, directory) = (platform(&transport), Directory::new());
    let wanted = [role("Clerk", &[])];
    let error = directory.resolve(&platform, &wanted, &[]).await.expect_err("refused");
    assert_eq!(error.missing_permissions(), Some(&["authorization:role:view".to_owned()][..]));
    directory.resolve(&platform, &wanted, &[]).await.expect("answered").expect("found");
}
