//! Results as downloads, one result after the other, so that their number and size do not matter. Of each user one
//! download is under way, and of all some; of these one has a result in memory.

use std::{
    collections::HashMap,
    io::{self, Write},
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::{Path, Query},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use indexmap::IndexSet;
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    task::spawn_blocking,
    time::timeout,
};

use super::{
    frame::Frame,
    results::{self, NamedResult},
};
use crate::{
    pages::{error::PageError, user::User},
    protocol::{
        client::HubClient,
        domain::MissingValue,
        payload::{self, PayloadError},
        spreadsheet::neutralise,
    },
    serve::{Place, Shares, Spooled},
};

/// The runs of a task with the names of their organizations.
struct Runs {
    task_id: i64,
    hub: HubClient,
    named: Arc<[(i64, String)]>,
}

impl Runs {
    async fn load(user: &User, id: &str) -> Result<Runs, PageError> {
        let task_id: i64 = id.parse().map_err(|_| PageError::not_found("This task"))?;
        let me = &user.signed_in;
        let (runs, names, _task) = futures::try_join!(me.hub.run_states(task_id), me.names(), me.hub.task(task_id))?;
        let name = |organization: Option<i64>, run_id: i64| {
            organization.map_or_else(|| format!("Run {run_id}"), |id| names.organization(id))
        };
        let named = runs.iter().map(|run| (run.id, name(run.organization_id, run.id))).collect();
        Ok(Runs { task_id, hub: me.hub.clone(), named })
    }

    /// What is written of the results that are there, with their organizations, each when it is its turn.
    fn parts<M>(&self, write: M) -> impl Stream<Item = Result<Spooled, io::Error>> + Send + 'static
    where
        M: Fn(&str, &str, &mut dyn Write) -> io::Result<()> + Clone + Send + 'static,
    {
        let (hub, named) = (self.hub.clone(), self.named.clone());
        stream::iter(0..named.len())
            .then(move |index| {
                let (hub, (run_id, organization), write) = (hub.clone(), named[index].clone(), write.clone());
                async move {
                    let _turn = results::UNFOLDED.acquire().await.map_err(io::Error::other)?;
                    let result = hub.result_for_download(run_id).await.map_err(io::Error::other)?;
                    let Some(payload) = result else { return Ok(None) };
                    spawn_blocking(move || Spooled::written(|out| write(&organization, &payload, out))).await?.map(Some)
                }
            })
            .try_filter_map(async |part| Ok(part))
    }
}

fn attachment<S>(kind: &'static str, name: &str, parts: S) -> Response
where
    S: Stream<Item = Result<Bytes, io::Error>> + Send + 'static,
{
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""))
        .unwrap_or(HeaderValue::from_static("attachment"));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_DISPOSITION, disposition),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    // What fails in between breaks the download off, so that nobody takes a part for the whole.
    let parts = parts.inspect_err(|error| tracing::error!(%error, "a download was broken off"));
    (headers, Body::from_stream(parts)).into_response()
}

/// The most columns of a CSV file, and the bytes of their names.
const COLUMNS: usize = 10_000;
const COLUMNS_BYTES: usize = 1024 * 1024;
/// The most cells: a few names in one result are a column in each line of all others.
const CELLS: usize = 20_000_000;
/// Downloads of all users at once.
static DOWNLOADS: Semaphore = Semaphore::const_new(64);
/// So many of a user's downloads wait for each other.
const QUEUE: usize = 64;
/// Those who download.
static USERS: LazyLock<Shares<i64>> = LazyLock::new(|| Shares::with_queue(1, QUEUE));
/// How long somebody waits for earlier ones.
const PATIENCE: Duration = Duration::from_secs(20);

/// The turn of a user's download, until it is dropped.
async fn turn_of(user_id: i64) -> Result<(Place, SemaphorePermit<'static>), PageError> {
    let turn = async { Some((USERS.place(&user_id).await.ok()?, DOWNLOADS.acquire().await.ok()?)) };
    match timeout(PATIENCE, turn).await {
        Ok(Some(turn)) => Ok(turn),
        _ => Err(PageError::Refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "Other downloads are under way. Wait until yours have ended, then try again.",
        )),
    }
}

/// `GET /tasks/{id}/results.json`
pub async fn json(user: User, Path(id): Path<String>) -> Result<Response, PageError> {
    let runs = Runs::load(&user, &id).await?;
    let turn = turn_of(user.signed_in.user.id).await?;
    let items = runs.parts(|organization, payload, out| match payload::json_text(payload) {
        // As it came, digit by digit.
        Ok(json) => {
            write!(out, "{{\"organization\":{},\"result\":", serde_json::to_string(organization)?)?;
            out.write_all(&json)?;
            out.write_all(b"}")
        }
        Err(error) => {
            let result = NamedResult { organization: organization.to_owned(), value: Err(error) };
            Ok(serde_json::to_writer(out, &results::raw_one(&result))?)
        }
    });
    let items = items.enumerate().flat_map(move |(index, part)| {
        let _turn = &turn;
        let comma = if index == 0 { "" } else { ",\n" };
        match part {
            Ok(part) => only(comma).chain(part.read()).boxed(),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        }
    });
    let items = only("[\n").chain(items).chain(only("\n]\n"));
    Ok(attachment("application/json", &format!("task-{}-results.json", runs.task_id), items))
}

#[derive(Deserialize)]
pub struct CsvOptions {
    /// `excel`: with a byte order mark, without which Excel takes UTF-8 for something else.
    #[serde(default, rename = "for")]
    reader: String,
}

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// `GET /tasks/{id}/results.csv`: read once for the columns, and once for the rows.
pub async fn csv(user: User, Path(id): Path<String>, Query(options): Query<CsvOptions>) -> Result<Response, PageError> {
    let mut runs = Runs::load(&user, &id).await?;
    let turn = turn_of(user.signed_in.user.id).await?;
    let (mut columns, mut height) = (IndexSet::new(), 0);
    let mut seen = Vec::new();
    for (run_id, organization) in runs.named.iter() {
        let _turn = results::UNFOLDED.acquire().await.map_err(|_| PageError::Internal)?;
        if let Some(value) = runs.hub.result(*run_id).await?.value {
            let result = NamedResult { organization: organization.clone(), value };
            results::with_frame(&result, |frame| match frame {
                Some(frame) => {
                    height += frame.height();
                    columns.extend(frame.columns.iter().map(|column| column.to_string()));
                }
                None => {
                    height += 1;
                    columns.extend(results::columns_of(&result).map(str::to_owned));
                }
            });
            seen.push((*run_id, organization.clone()));
        }
        // They stay in memory as long as somebody reads.
        if columns.len() > COLUMNS || columns.iter().map(String::len).sum::<usize>() > COLUMNS_BYTES {
            return Err(PageError::Refused(
                StatusCode::PAYLOAD_TOO_LARGE,
                "The results have more than 10,000 columns, or very long names of columns, which no spreadsheet takes. The \
                 JSON download has all of them.",
            ));
        }
        if height.saturating_mul(columns.len()) > CELLS {
            return Err(PageError::Refused(
                StatusCode::PAYLOAD_TOO_LARGE,
                "The results have more than 20 million cells as one table. The JSON download has all of them.",
            ));
        }
    }
    // A result that comes between the two readings has columns that nobody knows.
    runs.named = seen.into();
    let header = std::iter::once("Organization").chain(columns.iter().map(String::as_str)).map(neutralise);
    let mut line = writer_of(Vec::new());
    let header = line.write_record(header).map_err(io::Error::other);
    let header = header.and_then(|()| line.into_inner().map_err(csv::IntoInnerError::into_error));
    let columns = Arc::new(columns);
    let rows = runs.parts(move |organization, payload, out| {
        let value = payload::decode(payload).map(|(value, _)| value);
        write_lines(&columns, &NamedResult { organization: organization.to_owned(), value }, out)
    });
    let rows = rows.map_ok(move |part| {
        let _turn = &turn;
        part.read()
    });
    let mark = if options.reader == "excel" { BYTE_ORDER_MARK } else { "" };
    let header = header.map(|header| [mark.as_bytes(), &header].concat());
    let lines = stream::once(async move { header.map(Bytes::from) }).chain(rows.try_flatten());
    Ok(attachment("text/csv; charset=utf-8", &format!("task-{}-results.csv", runs.task_id), lines))
}

/// A text by itself.
fn only(text: &'static str) -> impl Stream<Item = Result<Bytes, io::Error>> + Send {
    stream::once(async move { Ok(text.into()) })
}

/// Writes the lines of a result: one, or those of a table.
fn write_lines(columns: &IndexSet<String>, result: &NamedResult, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = writer_of(out);
    results::with_frame(result, |frame| match frame {
        Some(frame) => write_frame(columns, &result.organization, frame, &mut writer),
        None => writer.write_record(row(columns, result)).map_err(io::Error::other),
    })?;
    writer.flush()
}

fn write_frame(
    columns: &IndexSet<String>,
    organization: &str,
    frame: &Frame<'_>,
    writer: &mut csv::Writer<impl Write>,
) -> io::Result<()> {
    let by_name: HashMap<&str, usize> =
        frame.columns.iter().enumerate().map(|(place, column)| (column.as_ref(), place)).collect();
    let places: Vec<Option<usize>> = columns.iter().map(|column| by_name.get(column.as_str()).copied()).collect();
    for row in 0..frame.height() {
        let cell = |place: &Option<usize>| {
            place.and_then(|place| frame.cell(row, place)).map_or(String::new(), |value| csv_cell(&value))
        };
        let cells = std::iter::once(neutralise(organization)).chain(places.iter().map(cell));
        writer.write_record(cells)?;
    }
    Ok(())
}

fn row<'a>(columns: &'a IndexSet<String>, result: &'a NamedResult) -> impl Iterator<Item = String> + 'a {
    let cells = columns.iter().map(move |column| match (&result.value, results::value_in(result, column)) {
        (Err(PayloadError::TooLarge), _) if column == results::WHOLE => {
            "it has too many values for a table; the JSON download has it".to_owned()
        }
        (Err(error), _) if column == results::WHOLE => format!("cannot be read: {error}"),
        (_, value) => value.map_or(String::new(), csv_cell),
    });
    std::iter::once(neutralise(&result.organization)).chain(cells)
}

/// For lines of CSV as in RFC 4180: CRLF at their end, quotes where needed.
fn writer_of<W: Write>(out: W) -> csv::Writer<W> {
    csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out)
}

fn csv_cell(value: &Value) -> String {
    match value {
        // The number of Python, which is no formula.
        Value::String(text) if text == "-Infinity" => text.clone(),
        Value::String(text) => neutralise(text),
        // Numbers and other JSON begin with nothing that a spreadsheet takes for a formula, but for the minus of a
        // negative number, which is meant.
        other => MissingValue::read(other).map_or_else(|| other.to_string(), |missing| missing.words()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lines(columns: &IndexSet<String>, result: &NamedResult) -> String {
        let mut lines = Vec::new();
        write_lines(columns, result, &mut lines).unwrap();
        String::from_utf8(lines).unwrap()
    }

    #[test]
    fn formulas_are_neutralised_and_numbers_are_not() {
        let result = NamedResult {
            organization: "=HYPERLINK(\"http://evil.example\")".to_owned(),
            value: Ok(json!({"a": "@SUM(1)", "b": -5, "c": "x,\"y\"\nz", "d": null})),
        };
        let mut columns = IndexSet::new();
        columns.extend(results::columns_of(&result).map(str::to_owned));
        assert!(columns.iter().eq(["a", "b", "c", "d"]));
        assert_eq!(
            lines(&columns, &result),
            "\"'=HYPERLINK(\"\"http://evil.example\"\")\",'@SUM(1),-5,\"x,\"\"y\"\"\nz\",null\r\n"
        );
    }

    #[test]
    fn tables_have_a_line_for_each_row() {
        let records = json!([{"sex": "f", "n": 30}, {"n": -2}]);
        let columns = IndexSet::from_iter(["sex", "n", "other"].map(str::to_owned));
        for value in [records.clone(), json!(records.to_string())] {
            let result = NamedResult { organization: "org".to_owned(), value: Ok(value) };
            assert_eq!(lines(&columns, &result), "org,f,30,\r\norg,,-2,\r\n");
        }
        let one = NamedResult { organization: "org".to_owned(), value: Ok(json!({"n": 5})) };
        assert_eq!(lines(&columns, &one), "org,,5,\r\n");
    }
}
