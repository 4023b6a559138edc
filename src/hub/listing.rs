//! Lists: pages, filters and sorting as vantage6 4.x words them, always bounded.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write,
    sync::LazyLock,
};

use axum::{
    extract::{FromRequestParts, OriginalUri, Query},
    http::{HeaderValue, request::Parts},
    response::Response,
};
use futures::TryStreamExt;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use sqlx::{FromRow, QueryBuilder, Sqlite, SqlitePool, sqlite::SqliteRow};

use super::{
    HubError,
    large_answer::{PAGE_BYTES, QUEUE, Turn, answer, turn_of, wider_turn},
    page_sizes::PageSizes,
    permission::Caller,
};
use crate::{
    protocol::{
        timestamp,
        wire::v4::{Page, PageLinks},
    },
    serve::Shares,
};

/// Items on a page if the client does not say.
const DEFAULT_PER_PAGE: usize = 10;
/// The most items on a page; clients that ask for more get this many and the link to the next page.
const MAXIMUM_PER_PAGE: usize = 1000;

/// The longest value of a parameter, in bytes.
const VALUE_LIMIT: usize = 4096;

/// The query string of a list request.
pub struct ListQuery {
    path: String,
    pairs: Vec<(String, String)>,
    page: usize,
    per_page: usize,
}

impl<S: Send + Sync> FromRequestParts<S> for ListQuery {
    type Rejection = HubError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HubError> {
        let OriginalUri(uri) = OriginalUri::from_request_parts(parts, state)
            .await
            .map_err(|_| HubError::Internal("no address".to_owned()))?;
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&uri)
            .map_err(|_| HubError::bad("The query string cannot be read"))?;
        if let Some((name, _)) = pairs.iter().find(|(_, value)| value.len() > VALUE_LIMIT) {
            return Err(HubError::field(name, "Longer than anything that can be found."));
        }
        let mut query = ListQuery { path: uri.path().to_owned(), pairs, page: 1, per_page: DEFAULT_PER_PAGE };
        let positive = |query: &ListQuery, name: &str| match query.integer(name)? {
            Some(number) if number < 1 => Err(HubError::field(name, "Must be 1 or more.")),
            number => Ok(number),
        };
        query.page = positive(&query, "page")?.unwrap_or(1) as usize;
        query.per_page =
            positive(&query, "per_page")?.map_or(DEFAULT_PER_PAGE, |number| number as usize).min(MAXIMUM_PER_PAGE);
        if query.flag("no_pagination")?.unwrap_or(false) {
            query.per_page = MAXIMUM_PER_PAGE;
        }
        Ok(query)
    }
}

impl ListQuery {
    /// An error for a parameter that means nothing here: of what is Atoll's own, nobody sends one without meaning it. What
    /// clients of vantage6 send is ignored where the original ignores it.
    pub fn only(&self, known: &[&str]) -> Result<(), HubError> {
        const OF_ALL: [&str; 4] = ["page", "per_page", "no_pagination", "sort"];
        let is_known = |name: &String| OF_ALL.contains(&name.as_str()) || known.contains(&name.as_str());
        match self.pairs.iter().find(|(name, _)| !is_known(name)) {
            Some((name, _)) => Err(HubError::field(name, "There is no such parameter.")),
            None => Ok(()),
        }
    }

    /// The value of a parameter; empty values count as absent.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// All values of a parameter that may be repeated or separated by commas.
    pub fn texts(&self, name: &str) -> Vec<&str> {
        let values = self.pairs.iter().filter(|(key, _)| key == name);
        values.flat_map(|(_, value)| value.split(',')).filter(|value| !value.is_empty()).collect()
    }

    /// An integer parameter.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, HubError> {
        self.text(name).map(|text| integer(name, text)).transpose()
    }

    /// All integers of a parameter that may be repeated.
    pub fn integers(&self, name: &str) -> Result<Vec<i64>, HubError> {
        self.texts(name).into_iter().map(|text| integer(name, text)).collect()
    }

    /// A yes-or-no parameter.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, HubError> {
        self.text(name)
            .map(|text| match text.to_ascii_lowercase().as_str() {
                "1" | "true" | "yes" => Ok(true),
                "0" | "false" | "no" => Ok(false),
                _ => Err(HubError::field(name, "Not a valid boolean.")),
            })
            .transpose()
    }

    /// A time parameter, in the form in which times are stored.
    pub fn time(&self, name: &str) -> Result<Option<String>, HubError> {
        self.text(name)
            .map(|text| {
                timestamp::parse(&text.replace(' ', "+"))
                    .or_else(|| timestamp::parse(text))
                    .map(timestamp::format)
                    .ok_or_else(|| HubError::field(name, "Not a valid time."))
            })
            .transpose()
    }

    /// Whether `include=` asks for something.
    pub fn includes(&self, what: &str) -> bool {
        self.texts("include").contains(&what)
    }
}

fn integer(name: &str, text: &str) -> Result<i64, HubError> {
    text.parse().map_err(|_| HubError::field(name, "Not a valid integer."))
}

/// The longest pattern by which a list is narrowed, in bytes: names have 128 characters at most.
const PATTERN_LIMIT: usize = 200;

/// What a list is narrowed by: SQL conditions with their values.
#[derive(Default)]
pub struct Filters {
    conditions: Vec<(String, Option<FilterValue>)>,
}

enum FilterValue {
    Integer(i64),
    Text(String),
}

impl Filters {
    /// A condition without a value. Never with text from outside.
    pub fn when(&mut self, sql: impl Into<String>) {
        self.conditions.push((sql.into(), None));
    }

    /// A condition on an integer, `?` in the SQL, if there is one.
    pub fn integer(&mut self, sql: &str, value: Option<i64>) {
        self.conditions.extend(value.map(|value| (sql.to_owned(), Some(FilterValue::Integer(value)))));
    }

    /// A condition on a text, `?` in the SQL, if there is one.
    pub fn text(&mut self, sql: &str, value: Option<impl Into<String>>) {
        self.conditions.extend(value.map(|value| (sql.to_owned(), Some(FilterValue::Text(value.into())))));
    }

    /// A column like a pattern with `%` and `_`, `\` taking their meaning away, if there is a pattern.
    pub fn like(&mut self, column: &str, pattern: Option<&str>) -> Result<(), HubError> {
        // SQLite tries it at each letter of each row.
        if pattern.is_some_and(|pattern| pattern.len() > PATTERN_LIMIT) {
            let name = column.rsplit('.').next().unwrap_or(column);
            return Err(HubError::field(name, format!("Longer than {PATTERN_LIMIT} characters.")));
        }
        self.text(&format!("{column} LIKE ? ESCAPE '\\'"), pattern);
        Ok(())
    }

    /// A column among ids.
    pub fn among(&mut self, column: &str, ids: &[i64]) {
        match ids {
            // By an index the rows come in order, so that none have to be sorted.
            [id] => self.integer(&format!("{column} = ?"), Some(*id)),
            ids => self.when(format!("{column} IN ({})", comma_separated(ids))),
        }
    }

    fn push_to<'a>(&'a self, builder: &mut QueryBuilder<'a, Sqlite>) {
        for (index, (sql, value)) in self.conditions.iter().enumerate() {
            builder.push(if index == 0 { " WHERE (" } else { " AND (" });
            match (value, sql.split_once('?')) {
                (Some(value), Some((before, after))) => {
                    builder.push(before);
                    match value {
                        FilterValue::Integer(value) => builder.push_bind(*value),
                        FilterValue::Text(value) => builder.push_bind(value.as_str()),
                    };
                    builder.push(after);
                }
                _ => {
                    builder.push(sql);
                }
            }
            builder.push(")");
        }
    }
}

/// Ids for an SQL `IN (…)`; integers need no escaping.
pub fn comma_separated(ids: &[i64]) -> String {
    ids.iter().enumerate().fold(String::new(), |mut text, (index, id)| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{}{id}", if index == 0 { "" } else { "," });
        text
    })
}

/// A table that is listed: what stands behind `FROM`, which columns are read, what it may be sorted by.
pub struct Listing {
    /// The id of a row.
    pub id: &'static str,
    /// Tables that filters, sorting and sizes need.
    pub from: &'static str,
    /// More of them, which only the columns need.
    pub joined: &'static str,
    pub columns: &'static str,
    /// Names on the wire with their SQL; the first is the default.
    pub sortable: &'static [(&'static str, &'static str)],
    /// Whether the default order is descending.
    pub newest_first: bool,
    /// SQL for the bytes of a row with what it gets in addition, of what can be large.
    pub bytes: &'static str,
    /// The most bytes that a row can have: where a page of such rows is small enough, nothing has to be added up.
    pub row_limit: i64,
}

/// Lists of a caller that are read at once: the others get a connection to the database meanwhile.
static LISTS: LazyLock<Shares<String>> = LazyLock::new(|| Shares::with_queue(3, QUEUE));

/// For rows whose texts are so short that a thousand of them are no large answer.
pub const SMALL_ROWS: &str = "0";
/// The most bytes of such a row.
pub const SMALL_ROW: i64 = PAGE_BYTES / MAXIMUM_PER_PAGE as i64;

/// One page of rows, with what is needed to answer.
pub struct Rows<R> {
    pub rows: Vec<R>,
    total: usize,
    query: ListQuery,
    turn: Option<Turn>,
}

impl Listing {
    /// Reads one page. Pages of what is large have fewer items than were asked for, all pages of a list equally many: who
    /// follows the links, or counts pages, gets everything.
    pub async fn fetch<R>(
        &self,
        pool: &SqlitePool,
        caller: &Caller,
        mut query: ListQuery,
        filters: Filters,
    ) -> Result<Rows<R>, HubError>
    where
        R: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        let order = self.order(query.text("sort"))?;
        let _place = LISTS.place(&caller.party()).await?;
        if self.row_limit.saturating_mul(query.per_page as i64) > PAGE_BYTES {
            let mut sum = self.select(&format!("coalesce(sum({}), 0)", self.bytes), &filters);
            if sum.build_query_scalar::<i64>().fetch_one(pool).await? > PAGE_BYTES {
                query.per_page = self.per_page_that_fits(pool, &query, &filters, &order).await?;
            }
        }
        // First which ones: before it sorts, SQLite works out all that is selected, for every row.
        let Listing { id, from, bytes, .. } = self;
        let mut page = QueryBuilder::new(format!("SELECT {id}, {bytes}, (SELECT count(*) FROM {from}"));
        filters.push_to(&mut page);
        page.push(format!(") FROM {from} WHERE {id} IN (SELECT {id} FROM {from}"));
        filters.push_to(&mut page);
        page.push(page_of(&query, &order)).push(")");
        let page: Vec<(i64, i64, i64)> = page.build_query_as().fetch_all(pool).await?;
        let total = match page.first() {
            Some((_, _, total)) => *total,
            None if query.page == 1 => 0,
            None => self.select("count(*)", &filters).build_query_scalar().fetch_one(pool).await?,
        };
        let turn = turn_of(caller, 1, page.iter().map(|(_, bytes, _)| bytes).sum(), PAGE_BYTES).await?;
        let ids: Vec<i64> = page.into_iter().map(|(id, _, _)| id).collect();
        let of_page = format!("WHERE {id} IN ({})", comma_separated(&ids));
        let rows = format!("SELECT {} FROM {} {} {of_page} ORDER BY {order}", self.columns, self.from, self.joined);
        let rows = sqlx::query_as(&rows).persistent(false).fetch_all(pool).await?;
        Ok(Rows { rows, total: total as usize, query, turn })
    }

    fn select<'a>(&self, what: &str, filters: &'a Filters) -> QueryBuilder<'a, Sqlite> {
        let mut select = QueryBuilder::new(format!("SELECT {what} FROM {}", self.from));
        filters.push_to(&mut select);
        select
    }

    /// How many items a page may have so that each page of the list is small enough; one, if that is too large already.
    async fn per_page_that_fits(
        &self,
        pool: &SqlitePool,
        query: &ListQuery,
        filters: &Filters,
        order: &str,
    ) -> Result<usize, HubError> {
        let mut sizes = self.select(self.bytes, filters);
        sizes.push(format!(" ORDER BY {order}"));
        let mut rows = sizes.build_query_scalar::<i64>().fetch(pool);
        let mut pages = PageSizes::up_to(query.per_page);
        while let Some(bytes) = rows.try_next().await? {
            pages.add(bytes);
        }
        Ok(pages.largest())
    }

    fn order(&self, sort: Option<&str>) -> Result<String, HubError> {
        let default = self.sortable.first().map_or("1", |(_, sql)| *sql);
        let default = format!("{default}{}", if self.newest_first { " DESC" } else { "" });
        let Some(sort) = sort else { return Ok(default) };
        let mut terms: Vec<String> = Vec::new();
        let mut sorted_by = HashSet::new();
        for name in sort.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let (name, direction) = match name.strip_prefix('-') {
                Some(name) => (name, " DESC"),
                None => (name, ""),
            };
            let known: HashMap<&str, &str> = self.sortable.iter().copied().collect();
            let sql = known.get(name).ok_or_else(|| {
                let names: Vec<&str> = self.sortable.iter().map(|(name, _)| *name).collect();
                HubError::field("sort", format!("Cannot sort by this. Possible: {}.", names.join(", ")))
            })?;
            // Rows that are equal in it once are so again.
            if sorted_by.insert(name) {
                terms.push(format!("{sql}{direction}"));
            }
        }
        // Equal rows need an order too, or pages would repeat some and skip others.
        terms.push(default);
        Ok(terms.join(", "))
    }
}

/// `ORDER BY … LIMIT … OFFSET …` of a page.
fn page_of(query: &ListQuery, order: &str) -> String {
    let offset = (query.page - 1).saturating_mul(query.per_page).min(i64::MAX as usize);
    format!(" ORDER BY {order} LIMIT {} OFFSET {offset}", query.per_page)
}

impl<R> Rows<R> {
    /// What the rows get in addition waits for its turn, too, unless they have that of something as large.
    pub async fn wait_for(&mut self, caller: &Caller, items: i64, bytes: i64) -> Result<(), HubError> {
        self.turn = wider_turn(self.turn.take(), caller, items, bytes).await?;
        Ok(())
    }

    /// As [`Rows::answer`], for rows that may be unreadable, and that unfold to many times their bytes: each becomes text before
    /// the next one is read.
    pub async fn try_answer<W: Serialize + Send + 'static>(
        self,
        mut to_wire: impl FnMut(R) -> Result<W, HubError>,
    ) -> Result<Response, HubError> {
        let Rows { rows, total, query, turn } = self;
        let text = |row| to_raw_value(&to_wire(row)?).map_err(|error| HubError::Internal(error.to_string()));
        let rows = rows.into_iter().map(text).collect::<Result<Vec<Box<RawValue>>, HubError>>()?;
        Rows { rows, total, query, turn }.answer(|row| row).await
    }

    /// The answer: each row in its wire form, links to the other pages, the total in a header.
    pub async fn answer<W: Serialize + Send + 'static>(
        self,
        to_wire: impl FnMut(R) -> W,
    ) -> Result<Response, HubError> {
        let (page, last) = (self.query.page, self.total.div_ceil(self.query.per_page).max(1));
        let links = PageLinks {
            first: Some(self.query.address(1)),
            previous: (page > 1).then(|| self.query.address(page - 1)),
            this: Some(self.query.address(page)),
            next: (page < last).then(|| self.query.address(page + 1)),
            last: (self.total > 0).then(|| self.query.address(last)),
        };
        let data: Vec<W> = self.rows.into_iter().map(to_wire).collect();
        let page = Page { data, links };
        let mut response = answer(page, self.turn).await?;
        response.headers_mut().insert("total-count", HeaderValue::from(self.total));
        Ok(response)
    }
}

impl ListQuery {
    /// The answer for a list that is not in the database, through the same paging as all others.
    pub async fn answer_all<W: Serialize + Send + 'static>(self, items: Vec<W>) -> Result<Response, HubError> {
        let total = items.len();
        let start = (self.page - 1).saturating_mul(self.per_page).min(total);
        let rows = items.into_iter().skip(start).take(self.per_page).collect();
        Rows { rows, total, query: self, turn: None }.answer(|item| item).await
    }

    /// How many items to pass over, and how many to read.
    pub fn window(&self) -> (u32, u32) {
        let offset = (self.page - 1).saturating_mul(self.per_page);
        (u32::try_from(offset).unwrap_or(u32::MAX), self.per_page as u32)
    }

    /// The answer for a page that was read by [`ListQuery::window`].
    pub async fn answer_page<W: Serialize + Send + 'static>(
        self,
        rows: Vec<W>,
        total: usize,
    ) -> Result<Response, HubError> {
        Rows { rows, total, query: self, turn: None }.answer(|item| item).await
    }

    /// The address of another page of this list.
    fn address(&self, page: usize) -> String {
        let mut serializer = url::form_urlencoded::Serializer::new(format!("{}?", self.path));
        let others = self.pairs.iter().filter(|(name, _)| name != "page" && name != "per_page");
        serializer.extend_pairs(others);
        serializer.append_pair("page", &page.to_string());
        serializer.append_pair("per_page", &self.per_page.to_string());
        serializer.finish().replacen("?&", "?", 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn query(uri: &str) -> Result<ListQuery, HubError> {
        let (mut parts, ()) = axum::http::Request::builder().uri(uri).body(()).unwrap().into_parts();
        ListQuery::from_request_parts(&mut parts, &()).await
    }

    #[tokio::test]
    async fn pages_are_bounded_and_bad_numbers_are_told_at_their_field() {
        assert_eq!(query("/api/task?per_page=9999").await.unwrap().per_page, MAXIMUM_PER_PAGE);
        let long = format!("/x?name={}", "%25".repeat(VALUE_LIMIT + 1));
        assert!(matches!(query(&long).await, Err(HubError::BadRequest { .. })));
        for uri in ["/x?page=0", "/x?page=-1", "/x?page=one", "/x?per_page=0", "/x?per_page=99999999999999999999"] {
            assert!(matches!(query(uri).await, Err(HubError::BadRequest { .. })), "{uri}");
        }
    }

    #[tokio::test]
    async fn links_keep_the_other_parameters() {
        let query = query("/api/task?name=a%26b&page=2&per_page=5").await.unwrap();
        assert_eq!(query.address(3), "/api/task?name=a%26b&page=3&per_page=5");
    }

    #[test]
    fn only_known_columns_sort() {
        let listing = Listing {
            id: "task.id",
            from: "task",
            joined: "",
            columns: "*",
            sortable: &[("id", "task.id"), ("name", "task.name")],
            newest_first: true,
            bytes: SMALL_ROWS,
            row_limit: SMALL_ROW,
        };
        assert_eq!(listing.order(None).unwrap(), "task.id DESC");
        assert_eq!(listing.order(Some("-name,id")).unwrap(), "task.name DESC, task.id, task.id DESC");
        assert!(listing.order(Some("name; DROP TABLE task")).is_err());
    }
}
