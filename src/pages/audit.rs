//! `GET /audit`: who did what when to what with which outcome, for admins and auditors.

use axum::{
    extract::{Query, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use leptos::prelude::*;
use serde::Deserialize;

use super::{
    components::{Pagination, TableFrame, TextField},
    error::PageError,
    render::Page,
    state::PageState,
    user::User,
};
use crate::{
    protocol::{
        client::{AuditChain, AuditEntry, AuditQuery, Listed},
        spreadsheet::neutralise,
        timestamp,
    },
    session::SignedIn,
};

const PER_PAGE: usize = 50;
/// The most entries that a download has; the command `atoll audit export` writes all.
const DOWNLOADED: usize = 10_000;

/// What can be chosen by the beginning of its action.
const KINDS: [(&str, &str); 22] = [
    ("", "Everything"),
    ("sign_in", "Sign-ins"),
    ("password", "Passwords"),
    ("second_factor", "Second factors"),
    ("account", "Accounts"),
    ("task", "Tasks"),
    ("run", "Runs"),
    ("result", "Results read"),
    ("review", "Reviews"),
    ("release", "Releases"),
    ("policy", "Policies of nodes"),
    ("user", "Users"),
    ("role", "Roles"),
    ("organization", "Organizations"),
    ("collaboration", "Collaborations"),
    ("member", "Members"),
    ("study", "Studies"),
    ("node", "Nodes"),
    ("token", "Tokens used twice, or ended"),
    ("audit", "The audit log itself"),
    ("notice", "Notices given up"),
    ("page", "Refused pages"),
];
const OUTCOMES: [(&str, &str); 4] = [("", "Any"), ("done", "Done"), ("refused", "Refused"), ("failed", "Failed")];

/// The state of the list; it is kept in the address.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Filter {
    actor: String,
    kind: String,
    subject: String,
    outcome: String,
    from: String,
    until: String,
    page: String,
}

impl Filter {
    fn page(&self) -> usize {
        self.page.parse().unwrap_or(1).clamp(1, 1_000_000)
    }

    /// A day as its first moment, or that of the next one; nothing if it is no day.
    fn moment(day: &str, days: i64) -> String {
        let date = day.trim().parse::<jiff::civil::Date>().ok();
        let date = date.and_then(|date| date.checked_add(jiff::Span::new().days(days)).ok());
        date.map(|date| format!("{date}T00:00:00.000000")).unwrap_or_default()
    }

    fn query(&self) -> AuditQuery {
        AuditQuery {
            actor: self.actor.trim().to_owned(),
            action: KINDS
                .iter()
                .find(|(kind, _)| *kind == self.kind)
                .map_or_else(String::new, |(kind, _)| (*kind).to_owned()),
            subject: self.subject.trim().to_owned(),
            outcome: self.outcome.clone(),
            from: Self::moment(&self.from, 0),
            until: Self::moment(&self.until, 1),
            page: self.page(),
            per_page: PER_PAGE,
        }
    }

    /// What is wrong with the days.
    fn mistake(&self) -> (Option<String>, Option<String>) {
        let is_no_day = |day: &str| !day.trim().is_empty() && Self::moment(day, 0).is_empty();
        let no_day = |day: &str| is_no_day(day).then(|| "Say a day, such as 2027-01-31.".to_owned());
        let (from, until) = (Self::moment(&self.from, 0), Self::moment(&self.until, 0));
        let is_before = !from.is_empty() && !until.is_empty() && until < from;
        (no_day(&self.from), no_day(&self.until).or(is_before.then(|| "This is before the first day.".to_owned())))
    }

    fn is_active(&self) -> bool {
        [&self.actor, &self.kind, &self.subject, &self.outcome, &self.from, &self.until]
            .into_iter()
            .any(|value| !value.is_empty())
    }

    fn address(&self, path: &str, page: usize) -> String {
        let mut query = url::form_urlencoded::Serializer::new(format!("{path}?"));
        for (name, value) in [
            ("actor", &self.actor),
            ("kind", &self.kind),
            ("subject", &self.subject),
            ("outcome", &self.outcome),
            ("from", &self.from),
            ("until", &self.until),
        ] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        query.append_pair("page", &page.to_string());
        query.finish().replacen("?&", "?", 1)
    }
}

fn require(me: &SignedIn) -> Result<(), PageError> {
    match me.permissions.may_read_audit() {
        true => Ok(()),
        false => Err(PageError::Forbidden(
            "The audit log is for admins and auditors. A vantage6 server has none; there a node of Atoll still keeps its \
             own, which `atoll audit export --node node.yaml` writes."
                .to_owned(),
        )),
    }
}

/// The page.
pub async fn show(
    State(state): State<PageState>,
    user: User,
    Query(filter): Query<Filter>,
) -> Result<Response, PageError> {
    let me = user.signed_in;
    require(&me)?;
    let query = filter.query();
    let (entries, chain) = futures::try_join!(me.hub.audit(&query), me.hub.audit_chain())?;
    let view = move || view! { <AuditPage filter=filter.clone() entries=entries.clone() chain=chain.clone()/> };
    Ok(Page::new("Audit log").user(me).section("/audit").render(&state, view).await)
}

#[component]
fn AuditPage(filter: Filter, entries: Listed<AuditEntry>, chain: AuditChain) -> impl IntoView {
    let (page, total) = (filter.page(), entries.total);
    let download = filter.address("/audit.csv", 1);
    let none = entries.items.is_empty();
    let paged = filter.clone();
    let (from_error, until_error) = filter.mistake();
    view! {
        <div class="page-head">
            <h1>"Audit log"</h1>
            {(!none).then(|| view! {
                <a class="button" href=download download="">
                    {if total > DOWNLOADED { "Download the newest 10,000 as CSV" } else { "Download CSV" }}
                </a>
            })}
        </div>
        {if chain.holds {
            view! { <p class="help">"Nothing of it was changed or taken away, as far as its hashes and its signed ends tell."</p> }.into_any()
        } else {
            view! { <p class="flash error" role="alert">{format!("The log does not hold: {}. Somebody has written to the hub's file directly.", chain.broken)}</p> }.into_any()
        }}
        <form method="get" action="/audit" class="filters audit-filters" role="search" aria-label="Audit log">
            <TextField name="actor" label="Who" value=filter.actor.clone() maxlength=128/>
            <Choice name="kind" label="What" options=&KINDS value=filter.kind.clone()/>
            <TextField name="subject" label="To what (run 12)" value=filter.subject.clone() maxlength=128/>
            <Choice name="outcome" label="Outcome" options=&OUTCOMES value=filter.outcome.clone()/>
            <TextField name="from" label="From (UTC)" kind="date" value=filter.from.clone() error=from_error/>
            <TextField name="until" label="Until (UTC)" kind="date" value=filter.until.clone() error=until_error/>
            <div class="buttons">
                <button type="submit">"Apply"</button>
                {filter.is_active().then(|| view! { <a class="button quiet" href="/audit">"Clear"</a> })}
            </div>
        </form>
        {if none {
            view! { <p class="empty">{match (page > 1 && total > 0, filter.is_active()) {
                (true, _) => "There are not so many pages.",
                (_, true) => "No entry matches.",
                _ => "There is no entry yet.",
            }}</p> }.into_any()
        } else {
            view! {
                <TableFrame label="Audit entries">
                    <table class="stacked audit">
                        <thead><tr>
                            <th scope="col" class="number">"No."</th><th scope="col">"When (UTC)"</th><th scope="col">"Who"</th>
                            <th scope="col">"What"</th><th scope="col">"To what"</th><th scope="col">"Outcome"</th><th scope="col">"Details"</th>
                        </tr></thead>
                        <tbody>{entries.items.into_iter().map(|entry| view! { <Row entry/> }).collect_view()}</tbody>
                    </table>
                </TableFrame>
                <Pagination page per_page=PER_PAGE total address=Box::new(move |page| paged.address("/audit", page))/>
            }.into_any()
        }}
    }
}

#[component]
fn Row(entry: AuditEntry) -> impl IntoView {
    let when = timestamp::parse(&entry.at).map(|time| time.strftime("%Y-%m-%d %H:%M:%S").to_string());
    let class = match entry.outcome.as_str() {
        "done" => "badge good",
        "refused" => "badge bad",
        _ => "badge waiting",
    };
    view! {
        <tr>
            <td class="number" data-label="No.">{entry.id}</td>
            <td class="nowrap" data-label="When (UTC)">{when.unwrap_or(entry.at)}</td>
            <td data-label="Who">{entry.actor}</td>
            <td data-label="What"><code>{entry.action}</code></td>
            <td data-label="To what">{entry.subject}</td>
            <td data-label="Outcome"><span class=class>{entry.outcome}</span></td>
            <td class="details" data-label="Details">{entry.details}</td>
        </tr>
    }
}

#[component]
fn Choice(
    name: &'static str,
    label: &'static str,
    options: &'static [(&'static str, &'static str)],
    value: String,
) -> impl IntoView {
    view! {
        <div class="field">
            <label for=name>{label}</label>
            <select id=name name=name>
                {options.iter().map(|(key, text)| view! { <option value=*key selected=*key == value>{*text}</option> }).collect_view()}
            </select>
        </div>
    }
}

/// `GET /audit.csv`: the entries that the filter leaves, the newest first.
pub async fn csv(user: User, Query(filter): Query<Filter>) -> Result<Response, PageError> {
    let me = user.signed_in;
    require(&me)?;
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header = ["id", "at", "actor", "action", "subject", "outcome", "details"];
    let failed = |error: csv::Error| {
        tracing::error!(%error, "a download of the audit log");
        PageError::Internal
    };
    writer.write_record(header).map_err(failed)?;
    for page in 1..=DOWNLOADED / 1000 {
        let listed = me.hub.audit(&AuditQuery { page, per_page: 1000, ..filter.query() }).await?;
        let is_last = listed.items.len() < 1000;
        for entry in listed.items {
            let texts = [
                entry.id.to_string(),
                entry.at,
                entry.actor,
                entry.action,
                entry.subject,
                entry.outcome,
                entry.details,
            ];
            writer.write_record(texts.map(|text| neutralise(&text))).map_err(failed)?;
        }
        if is_last {
            break;
        }
    }
    let bytes = writer.into_inner().map_err(|_| PageError::Internal)?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"audit.csv\"")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, bytes).into_response())
}
