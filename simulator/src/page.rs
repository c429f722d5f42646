//! The admin page: plain forms for what people do in the admin UI, and for planting faults; it must never list a secret.

use axum::extract::{Form, Path, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Router, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::iso;
use crate::faults::Fault;
use crate::model::OAuthClient;
use crate::operations::RULES;
use crate::simulator::{EditError, Simulator};

/// Calls that the page shows.
const SHOWN_CALLS: usize = 25;
const STYLE: &str = "body{font-family:sans-serif;margin:2rem;max-width:75rem}table{border-collapse:collapse;width:100%}\
td,th{border-bottom:1px solid #ccc;padding:.3rem .6rem;text-align:left;vertical-align:top}form.inline{display:inline}\
label{display:block;margin:.4rem 0}textarea,input[type=text]{width:100%;max-width:40rem;font-family:monospace}\
code{background:#eee;padding:0 .2rem}";

/// The routes of the page.
pub(crate) fn routes() -> Router<Simulator> {
    Router::new()
        .route("/", get(overview))
        .route("/page/clients", post(add))
        .route("/page/clients/{id}", get(client).post(edit))
        .route("/page/clients/{id}/secret", post(reset))
        .route("/page/clients/{id}/remove", post(remove))
        .route("/page/faults", post(plant))
        .route("/page/faults/clear", post(clear))
}

/// A page for what went wrong.
struct PageError(StatusCode, String);

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let text = format!("<p>{}</p><p><a href=\"/\">Back</a></p>", escaped(&self.1));
        (self.0, document("Not done", &text)).into_response()
    }
}

impl From<EditError> for PageError {
    fn from(error: EditError) -> Self {
        Self(StatusCode::BAD_REQUEST, error.to_string())
    }
}

async fn overview(State(simulator): State<Simulator>) -> Html<String> {
    let settings = simulator.settings();
    let clients: String = simulator.clients().iter().fold(String::new(), |rows, client| rows + &client_row(client));
    let faults: String =
        simulator.faults().iter().fold(String::new(), |rows, fault| rows + &row(&[&fault.id.to_string(), &json!(fault).to_string()]));
    let calls: String = simulator.calls().iter().rev().take(SHOWN_CALLS).fold(String::new(), |rows, call| {
        let status = call.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
        let fault = call.fault.map_or_else(String::new, |fault| format!("{fault:?}"));
        rows + &row(&[
            &call.sequence.to_string(),
            &iso(call.time),
            &call.operation.to_string(),
            &format!("{} {}", call.method, call.path),
            &status,
            if call.committed { "yes" } else { "" },
            &fault,
        ])
    });
    let mut operations: Vec<String> = RULES.iter().map(|rule| rule.operation.to_string()).collect();
    operations.sort_unstable();
    operations.dedup();
    let operations = operations.iter().fold("<option>*</option>".to_owned(), |all, name| all + &format!("<option>{name}</option>"));
    let body = format!(
        "<p>Organization <code>{organization}</code>, time {now}. API and login host are on this address; \
the admin API is under <code>/admin</code>.</p>\
<h2>OAuth clients</h2><table><tr><th>Name<th>Client id<th>Grant type<th>State<th>Modified</tr>{clients}</table>\
<h3>Add client</h3><form method=\"post\" action=\"/page/clients\"><label>Name <input type=\"text\" name=\"name\" required></label>\
<label>Grant type <select name=\"grant_type\"><option>CLIENT-CREDENTIALS<option>CODE<option>TOKEN<option>SAML2-BEARER</select></label>\
<button>Add</button></form>\
<h2>Faults</h2><table><tr><th>Number<th>Fault</tr>{faults}</table>\
<form method=\"post\" action=\"/page/faults\"><label>Operation <select name=\"operation\">{operations}</select> \
Kind <select name=\"kind\"><option>Status<option>Delay<option>Hang<option>Truncate<option>Html<option>LostResponse<option>RefuseConnection\
<option>Endless<option>Drip<option>GzipBomb<option>Nested<option>Redirect</select></label>\
<label>Status <input name=\"status\" size=\"4\" placeholder=\"503\"> Retry-After <input name=\"retry_after\" size=\"4\"> \
Delay in milliseconds <input name=\"delay\" size=\"7\"> Calls <input name=\"count\" size=\"4\" value=\"1\"></label>\
<button>Plant</button></form>\
<form method=\"post\" action=\"/page/faults/clear\"><button>Clear all faults</button></form>\
<h2>Last calls</h2><table><tr><th>#<th>Time<th>Operation<th>Call<th>Status<th>Changed<th>Fault</tr>{calls}</table>",
        organization = escaped(&settings.organization_name),
        now = iso(simulator.now()),
    );
    document("Genesys Cloud simulator", &body)
}

async fn client(State(simulator): State<Simulator>, Path(id): Path<String>) -> Result<Html<String>, PageError> {
    let client = simulator.client(&id).ok_or_else(|| missing(&id))?;
    let json = client.json();
    let states = ["active", "inactive", "disabled"].iter().fold(String::new(), |all, state| {
        let selected = if json["state"] == *state { " selected" } else { "" };
        all + &format!("<option{selected}>{state}</option>")
    });
    let pairs: Vec<String> = client.role_divisions.iter().map(|pair| format!("{} {}", pair.role_id, pair.division_id)).collect();
    let text = |name: &str, label: &str, value: &str| {
        format!("<label>{label}<br><input type=\"text\" name=\"{name}\" value=\"{}\"></label>", escaped(value))
    };
    let area = |name: &str, label: &str, lines: &[String]| {
        format!("<label>{label}<br><textarea rows=\"5\" name=\"{name}\">{}</textarea></label>", escaped(&lines.join("\n")))
    };
    let id = escaped(&id);
    let body = format!(
        "<p><a href=\"/\">All clients</a></p><p>Client id <code>{id}</code>, {grant}</p>\
<form method=\"post\" action=\"/page/clients/{id}\">{name}{description}<label>State <select name=\"state\">{states}</select></label>\
{uris}{scope}{roles}<button>Save</button></form>\
<form class=\"inline\" method=\"post\" action=\"/page/clients/{id}/secret\"><button>Reset secret</button></form> \
<form class=\"inline\" method=\"post\" action=\"/page/clients/{id}/remove\"><button>Delete for good</button></form>\
<h2>As JSON</h2><pre>{json}</pre>",
        grant = client.authorized_grant_type.as_str(),
        name = text("name", "Name", &client.name),
        description = text("description", "Description", client.description.as_deref().unwrap_or("")),
        uris = area("uris", "Redirect URIs, one a line", &client.registered_redirect_uri),
        scope = area("scope", "Scopes, one a line", &client.scope),
        roles = area("roles", "Roles, one a line: role id, space, division id or *", &pairs),
        json = escaped(&serde_json::to_string_pretty(&json).unwrap_or_default()),
    );
    Ok(document(&client.name, &body))
}

#[derive(Debug, Deserialize)]
struct Edit {
    name: String,
    description: String,
    state: String,
    uris: String,
    scope: String,
    roles: String,
}

async fn edit(State(simulator): State<Simulator>, Path(id): Path<String>, Form(edit): Form<Edit>) -> Result<Redirect, PageError> {
    let pairs: Vec<Value> = lines(&edit.roles)
        .iter()
        .filter_map(|line| line.split_once(char::is_whitespace))
        .map(|(role, division)| json!({"roleId": role, "divisionId": division.trim()}))
        .collect();
    let description = if edit.description.is_empty() { Value::Null } else { json!(edit.description) };
    let patch = json!({
        "name": edit.name,
        "description": description,
        "state": edit.state,
        "registeredRedirectUri": lines(&edit.uris),
        "scope": lines(&edit.scope),
        "roleDivisions": pairs,
    });
    simulator.edit_client(&id, &patch)?;
    Ok(Redirect::to(&format!("/page/clients/{id}")))
}

#[derive(Debug, Deserialize)]
struct Add {
    name: String,
    grant_type: String,
}

async fn add(State(simulator): State<Simulator>, Form(add): Form<Add>) -> Result<Html<String>, PageError> {
    let (client, secret) = simulator.add_client(&json!({"name": add.name, "authorizedGrantType": add.grant_type}))?;
    Ok(secret_page(&client.id, &secret))
}

async fn reset(State(simulator): State<Simulator>, Path(id): Path<String>) -> Result<Html<String>, PageError> {
    let secret = simulator.reset_secret(&id).ok_or_else(|| missing(&id))?;
    Ok(secret_page(&id, &secret))
}

async fn remove(State(simulator): State<Simulator>, Path(id): Path<String>) -> Result<Redirect, PageError> {
    if simulator.remove_client(&id) { Ok(Redirect::to("/")) } else { Err(missing(&id)) }
}

#[derive(Debug, Deserialize)]
struct Plant {
    operation: String,
    kind: String,
    status: String,
    retry_after: String,
    delay: String,
    count: String,
}

async fn plant(State(simulator): State<Simulator>, Form(plant): Form<Plant>) -> Result<Redirect, PageError> {
    let mut fault = json!({"operation": plant.operation, "kind": plant.kind});
    let numbers =
        [("status", &plant.status), ("retryAfter", &plant.retry_after), ("delayMilliseconds", &plant.delay), ("count", &plant.count)];
    for (name, text) in numbers.into_iter().filter(|(_, text)| !text.trim().is_empty()) {
        let number: u64 = text.trim().parse().map_err(|_| wrong(format!("{name} is no number: {text}")))?;
        fault[name] = json!(number);
    }
    let fault: Fault = serde_json::from_value(fault).map_err(|error| wrong(error.to_string()))?;
    simulator.plant(fault);
    Ok(Redirect::to("/"))
}

async fn clear(State(simulator): State<Simulator>) -> Redirect {
    simulator.clear_faults();
    Redirect::to("/")
}

fn missing(id: &str) -> PageError {
    PageError(StatusCode::NOT_FOUND, format!("There is no client {id}."))
}

fn wrong(text: String) -> PageError {
    PageError(StatusCode::BAD_REQUEST, text)
}

/// Shown once, as the platform shows it.
fn secret_page(id: &str, secret: &str) -> Html<String> {
    let text = format!(
        "<p>Client id <code>{id}</code></p><p>Client secret <code>{secret}</code></p><p>It will not be shown again.</p>\
<p><a href=\"/page/clients/{id}\">Go on</a></p>",
        id = escaped(id),
        secret = escaped(secret),
    );
    document("Client secret", &text)
}

fn client_row(client: &OAuthClient) -> String {
    let id = escaped(&client.id);
    format!(
        "<tr><td><a href=\"/page/clients/{id}\">{}</a><td><code>{id}</code><td>{}<td>{}<td>{}</tr>",
        escaped(&client.name),
        client.authorized_grant_type.as_str(),
        format!("{:?}", client.state).to_lowercase(),
        iso(client.date_modified),
    )
}

fn row(cells: &[&str]) -> String {
    cells.iter().fold("<tr>".to_owned(), |row, cell| row + "<td>" + &escaped(cell)) + "</tr>"
}

fn document(title: &str, body: &str) -> Html<String> {
    let title = escaped(title);
    Html(format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style></head>\
<body><h1>{title}</h1>{body}</body></html>"
    ))
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

/// Text that cannot become markup, in elements and in quoted attributes.
fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut safe, c| {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
        safe
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_become_markup() {
        let row = row(&["<script>\"&'"]);
        assert_eq!(row, "<tr><td>&lt;script&gt;&quot;&amp;&#39;</tr>");
    }
}
