use axum::{
    extract::{Path, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde_json::Value;

use super::results::{self, NamedResult};
use crate::pages::{error::PageError, state::PageState, user::User};

/// The results of a task, for downloads.
async fn load(user: &User, id: &str) -> Result<(i64, Vec<NamedResult>), PageError> {
    let id: i64 = id.parse().map_err(|_| PageError::not_found("This task"))?;
    let me = &user.signed_in;
    let hub = &me.hub;
    let (runs, results, names, _task) = futures::try_join!(hub.runs(id), hub.results(id), me.names(), hub.task(id))?;
    let name = |run_id: i64| {
        let organization = runs.iter().find(|run| run.id == run_id).and_then(|run| run.organization_id);
        organization.map_or_else(|| format!("Run {run_id}"), |id| names.organization(id))
    };
    Ok((id, results::name_results(&results, name)))
}

fn attachment(kind: &'static str, name: String, body: Vec<u8>) -> Response {
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""))
        .unwrap_or(HeaderValue::from_static("attachment"));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_DISPOSITION, disposition),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, body).into_response()
}

/// `GET /tasks/{id}/results.json`
pub async fn json(State(_): State<PageState>, user: User, Path(id): Path<String>) -> Result<Response, PageError> {
    let (id, results) = load(&user, &id).await?;
    let text = serde_json::to_vec_pretty(&results::raw(&results)).map_err(|_| PageError::Internal)?;
    Ok(attachment("application/json", format!("task-{id}-results.json"), text))
}

/// `GET /tasks/{id}/results.csv`
pub async fn csv(State(_): State<PageState>, user: User, Path(id): Path<String>) -> Result<Response, PageError> {
    let (id, results) = load(&user, &id).await?;
    let text = to_csv(&results).map_err(|error| {
        tracing::error!(%error, "results could not be written as CSV");
        PageError::Internal
    })?;
    Ok(attachment("text/csv; charset=utf-8", format!("task-{id}-results.csv"), text))
}

/// CSV as in RFC 4180: CRLF at the end of lines, quotes where needed.
fn to_csv(results: &[NamedResult]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let columns = results::columns(results);
    let header = std::iter::once("Organization").chain(columns.iter().map(String::as_str));
    writer.write_record(header.map(neutralise))?;
    for result in results {
        let cells = columns.iter().map(|column| results::value_in(result, column).map_or(String::new(), csv_cell));
        writer.write_record(std::iter::once(neutralise(&result.organization)).chain(cells))?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

fn csv_cell(value: &Value) -> String {
    match value {
        Value::String(text) => neutralise(text),
        // Numbers and other JSON begin with nothing that a spreadsheet takes for a formula, but for the minus of a
        // negative number, which is meant.
        other => other.to_string(),
    }
}

/// Takes the meaning from text that a spreadsheet would run as a formula
/// (<https://owasp.org/www-community/attacks/CSV_Injection>).
fn neutralise(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn formulas_are_neutralised_and_numbers_are_not() {
        let results = [NamedResult {
            organization: "=HYPERLINK(\"http://evil.example\")".to_owned(),
            value: Ok(json!({"a": "@SUM(1)", "b": -5, "c": "x,\"y\"\nz", "d": null})),
        }];
        let text = String::from_utf8(to_csv(&results).unwrap()).unwrap();
        assert_eq!(
            text,
            "Organization,a,b,c,d\r\n\"'=HYPERLINK(\"\"http://evil.example\"\")\",'@SUM(1),-5,\"x,\"\"y\"\"\nz\",null\r\n"
        );
    }
}
