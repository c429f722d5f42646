//! What GitOps tools make of a client at every moment of `tests/gitops/moments.txt`: kstatus' rules, Argo CD's Lua and Flux's CEL, read from the
//! examples that users copy. Runs no cluster; that the operator shows those conditions is held by its own golden test, and `golden` has objects
//! as it wrote them.

mod examples;
mod golden;

use std::{fs, path::Path};

use cel::{Context, Program, Value as Cel};
use mlua::{Lua, LuaSerdeExt as _, Table, serde::SerializeOptions};
use serde_json::{Value, json};

const CONDITIONS: [&str; 7] = ["Ready", "Synced", "CredentialExpiring", "ScopeDrift", "Rotating", "Reconciling", "Stalled"];

/// A row of the table.
struct Moment {
    name: String,
    object: Value,
    kstatus: String,
    argo: String,
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).expect("YAML")
}

fn moments() -> Vec<Moment> {
    let table = read("tests/gitops/moments.txt");
    let moments: Vec<Moment> = table.lines().filter(|line| !line.starts_with('#')).map(moment).collect();
    assert!(moments.len() >= 40, "only {} moments", moments.len());
    moments
}

fn moment(line: &str) -> Moment {
    let cells: Vec<&str> = line.split(" | ").collect();
    assert_eq!(cells.len(), 11, "{line}");
    let conditions = CONDITIONS.iter().zip(&cells[2..9]).map(|(kind, cell)| {
        let (status, reason) = cell.split_once(' ').expect("a status and a reason");
        let status = ["True", "False", "Unknown"].into_iter().find(|word| word.starts_with(status)).expect("T, F or U");
        json!({ "type": kind, "status": status, "reason": reason, "message": format!("{kind} says {reason}"), "observedGeneration": 3 })
    });
    let mut object = json!({
        "apiVersion": "oauth.genesys-operator.io/v1alpha1", "kind": "GenesysOAuthClient",
        "metadata": { "name": "billing", "namespace": "team-a", "generation": 3, "resourceVersion": "4711" },
        "spec": { "grantType": "ClientCredentials" },
        "status": { "observedGeneration": 3, "conditions": conditions.collect::<Vec<_>>() },
    });
    match cells[1] {
        "-" => {}
        "stale" => object["metadata"]["generation"] = json!(4),
        "suspend" => object["spec"]["suspend"] = json!(true),
        "inactive" => object["spec"]["state"] = json!("Inactive"),
        "deleting" => object["metadata"]["deletionTimestamp"] = json!("2026-01-05T08:00:00Z"),
        other => panic!("{other:?} is nothing that an object says itself"),
    }
    Moment { name: cells[0].to_owned(), object, kstatus: cells[9].to_owned(), argo: cells[10].to_owned() }
}

/// An object of a kind that no operator has looked at.
fn untouched() -> Value {
    json!({ "kind": "GenesysOAuthClient", "metadata": { "name": "billing", "generation": 1, "resourceVersion": "1" }, "spec": {} })
}

fn status<'a>(object: &'a Value, kind: &str) -> &'a str {
    let mut conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.find(|condition| condition["type"] == kind).and_then(|condition| condition["status"].as_str()).unwrap_or("none")
}

/// The rules of kstatus for a kind that it does not know: sigs.k8s.io/cli-utils, pkg/kstatus, its README.
fn kstatus(object: &Value) -> &'static str {
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return "Terminating";
    }
    let observed = &object["status"]["observedGeneration"];
    if !observed.is_null() && *observed != object["metadata"]["generation"] {
        return "InProgress";
    }
    match (status(object, "Reconciling"), status(object, "Stalled"), status(object, "Ready")) {
        ("True", ..) => "InProgress",
        (_, "True", _) => "Failed",
        (_, _, "False" | "Unknown") => "InProgress",
        _ => "Current",
    }
}

#[test]
fn kstatus_reads_every_moment_as_the_table_says() {
    for moment in moments() {
        assert_eq!(kstatus(&moment.object), moment.kstatus, "{}", moment.name);
    }
}

/// A Lua as Argo CD runs it: 5.1, without the libraries that reach outside.
fn lua() -> Lua {
    use mlua::StdLib;
    Lua::new_with(StdLib::TABLE | StdLib::STRING | StdLib::MATH, mlua::LuaOptions::default()).expect("a Lua")
}

fn run(script: &str, object: &Value) -> (Lua, Table) {
    let lua = lua();
    // Argo CD gives Lua no null: what is null in JSON is absent.
    let options = SerializeOptions::new().serialize_none_to_null(false).serialize_unit_to_null(false).set_array_metatable(false);
    let object = lua.to_value_with(object, options).expect("a table");
    lua.globals().set("obj", object).expect("a global");
    let table = lua.load(script).eval().unwrap_or_else(|error| panic!("{error}"));
    (lua, table)
}

fn argocd() -> Value {
    yaml(&read("examples/argocd/argocd-cm.yaml"))["data"].clone()
}

fn customization(key: &str) -> Value {
    yaml(argocd()[key].as_str().unwrap_or_else(|| panic!("{key} is there")))
}

fn health(object: &Value) -> (String, String) {
    // Argo CD itself shows what is being deleted as Progressing, and asks no script.
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return ("Progressing".into(), "Pending deletion".into());
    }
    let scripts = customization("resource.customizations");
    let script = scripts["oauth.genesys-operator.io/*"]["health.lua"].as_str().expect("a script");
    let (_lua, table) = run(script, object);
    (table.get("status").expect("a status"), table.get("message").expect("a message"))
}

#[test]
fn argo_cd_reads_every_moment_as_the_table_says() {
    for moment in moments() {
        let (status, message) = health(&moment.object);
        assert_eq!(status, moment.argo, "{}", moment.name);
        assert!(!message.is_empty(), "{}: no message", moment.name);
        assert!(status != "Degraded" || message.contains(": Stalled says "), "{}: {message}", moment.name);
    }
    assert_eq!(health(&untouched()).0, "Progressing");
    let organization = json!({
        "kind": "GenesysOrganization", "metadata": { "generation": 1 }, "spec": { "region": "eu-central-1" },
        "status": { "observedGeneration": 1, "conditions": [{ "type": "Ready", "status": "True", "reason": "Available", "message": "it works" }] },
    });
    assert_eq!(health(&organization), ("Healthy".into(), "it works".into()));
}

fn actions() -> Value {
    customization("resource.customizations.actions.oauth.genesys-operator.io_GenesysOAuthClient")
}

/// Which actions Argo CD offers.
fn offered(object: &Value) -> Vec<String> {
    let (_lua, table) = run(actions()["discovery.lua"].as_str().expect("a script"), object);
    let all = table.pairs::<String, Table>().map(|pair| pair.expect("a pair"));
    let mut names: Vec<String> =
        all.filter(|(_, action)| !action.get::<bool>("disabled").expect("a boolean")).map(|(name, _)| name).collect();
    names.sort();
    names
}

#[test]
fn argo_cd_offers_what_can_be_asked_for() {
    let at_rest = json!({ "status": { "clientId": "a" } });
    let rotates = json!({ "status": { "clientId": "a", "rotation": { "current": { "step": "Draining" } } } });
    assert_eq!(offered(&untouched()), ["reconcile"]);
    assert_eq!(offered(&at_rest), ["reconcile", "rotate", "rotate-emergency"]);
    assert_eq!(offered(&rotates), ["abort", "reconcile", "rotate-emergency"]);
}

#[test]
fn an_action_of_argo_cd_writes_one_annotation() {
    let group = genesys_oauth_operator::api::GROUP;
    let expected = [
        ("reconcile", "reconcile", "argocd-4711"),
        ("rotate", "rotate", "argocd-4711"),
        ("rotate-emergency", "rotate", "argocd-4711/Emergency"),
        ("abort", "abort", "argocd-4711"),
    ];
    let actions = actions();
    let definitions = actions["definitions"].as_array().expect("definitions");
    assert_eq!(definitions.len(), expected.len());
    let bare = json!({ "metadata": { "name": "billing", "resourceVersion": "4711" }, "spec": { "suspend": false } });
    let mut annotated = bare.clone();
    annotated["metadata"]["annotations"] = json!({ "kept": "yes" });
    for (definition, (name, annotation, token)) in definitions.iter().zip(expected) {
        assert_eq!(definition["name"], name);
        for before in [&bare, &annotated] {
            let (lua, table) = run(definition["action.lua"].as_str().expect("a script"), before);
            let after: Value = lua.from_value(mlua::Value::Table(table)).expect("JSON");
            let mut wanted = before.clone();
            wanted["metadata"]["annotations"][format!("{group}/{annotation}")] = json!(token);
            assert_eq!(after, wanted, "{name}");
        }
    }
}

/// Which of Flux's three expressions hold, of those for the object's kind.
fn flux(object: &Value) -> Vec<&'static str> {
    let checks = yaml(&read("examples/flux/kustomization.yaml"))["spec"]["healthCheckExprs"].clone();
    let mut checks = checks.as_array().expect("checks").iter();
    let check = checks.find(|check| check["kind"] == object["kind"]).unwrap_or_else(|| panic!("no check for {}", object["kind"]));
    let mut context = Context::default();
    for (name, value) in object.as_object().expect("an object") {
        context.add_variable(name.as_str(), value).expect("a value");
    }
    let holds = |name: &&str| {
        let expression = check[*name].as_str().expect("CEL");
        let program = Program::compile(expression).unwrap_or_else(|error| panic!("{name}: {error}"));
        matches!(program.execute(&context), Ok(Cel::Bool(true)))
    };
    ["inProgress", "failed", "current"].into_iter().filter(holds).collect()
}

#[test]
fn flux_reads_every_moment_as_the_table_says() {
    for moment in moments() {
        let wanted = match moment.kstatus.as_str() {
            "InProgress" => "inProgress",
            "Failed" => "failed",
            "Current" => "current",
            // Flux asks no expression about what is being deleted.
            _ => continue,
        };
        assert_eq!(flux(&moment.object), [wanted], "{}", moment.name);
    }
    // An expression that fails for what is not there yet means that Flux waits.
    assert!(!flux(&untouched()).contains(&"current") && !flux(&untouched()).contains(&"failed"));
}
