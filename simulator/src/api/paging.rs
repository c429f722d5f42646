//! Pages of a listing, as the API numbers and links them; it must not know what is listed.

use serde_json::{Value, json};

use crate::error::ErrorBody;
use crate::exchange::Request;

/// The largest page that a caller may ask for. (U)
const LARGEST: usize = 500;

/// The page that the query asks for; 25 entities a page unless it says otherwise. (SPEC)
pub(crate) fn page(request: &Request, entities: Vec<Value>) -> Result<Value, ErrorBody> {
    let size = number(request, "pageSize", 25)?;
    sized_page(request, entities, size)
}

/// The page that the query asks for, of a size that it cannot choose.
pub(crate) fn sized_page(request: &Request, entities: Vec<Value>, size: usize) -> Result<Value, ErrorBody> {
    let number = number(request, "pageNumber", 1)?;
    let (total, size) = (entities.len(), size.max(1));
    let count = total.div_ceil(size);
    let entities: Vec<Value> = entities.into_iter().skip((number - 1) * size).take(size).collect();
    let uri = |number: usize| {
        let others = request.query.iter().filter(|(name, _)| name != "pageNumber" && name != "pageSize");
        let start = format!("{}?pageSize={size}&pageNumber={number}", request.path);
        others.fold(start, |uri, (name, value)| uri + "&" + name + "=" + value)
    };
    let mut page = json!({
        "entities": entities,
        "pageSize": size,
        "pageNumber": number,
        "total": total,
        "pageCount": count,
        "firstUri": uri(1),
        "lastUri": uri(count.max(1)),
        "selfUri": uri(number),
    });
    if number < count {
        page["nextUri"] = Value::from(uri(number + 1));
    }
    if number > 1 {
        page["previousUri"] = Value::from(uri(number - 1));
    }
    Ok(page)
}

fn number(request: &Request, name: &str, default: usize) -> Result<usize, ErrorBody> {
    let Some(text) = request.query(name) else { return Ok(default) };
    text.parse()
        .ok()
        .filter(|number| (1..=LARGEST).contains(number) || (name == "pageNumber" && *number > 0 && *number < 1_000_000))
        .ok_or_else(|| ErrorBody::invalid_parameter(text, name, "positive integers"))
}
