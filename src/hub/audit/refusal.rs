use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    extract::{Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::Response,
};

use super::record;
use crate::{
    audit::{self, Entry},
    hub::{
        HubError, authentication,
        body::Named,
        problem,
        server::HubState,
        token::{Claims, ClientType, Purpose, Subject},
    },
};

/// How often somebody's refusals of one kind are noted one by one until they are counted only.
const ONE_BY_ONE: u64 = 5;
/// Subjects that are named of what was counted only.
const SUBJECTS_NAMED: usize = 20;
/// Addresses that are named when they tried too often; of more it is told how many there were.
const ADDRESSES: usize = 20;

/// First parts of paths, with what the log calls what they are about.
const SUBJECTS: [(&str, &str); 21] = [
    ("user", "user"),
    ("role", "role"),
    ("rule", "rule"),
    ("organization", "organization"),
    ("node", "node"),
    ("task", "task"),
    ("run", "run"),
    ("result", "run"),
    ("collaboration", "collaboration"),
    ("study", "study"),
    ("kill", "task"),
    ("password", "user"),
    ("account", "user"),
    ("review", "review"),
    ("audit", "audit log"),
    ("column", "column"),
    ("recover", "key"),
    ("token", "token"),
    ("port", "port"),
    ("problem", "problems"),
    ("algorithmstore", "algorithm store"),
];

/// What somebody did within this minute that they can do as often as they like, such as asking for what is refused. Each
/// kind is noted some times; what comes after is counted and noted once, so that nobody fills the log.
#[derive(Default)]
pub struct Repeated(Mutex<HashMap<Kind, Counted>>);

/// Of one kind is what one actor does to one organization with the same outcome: each organization reads of what was done
/// to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kind {
    actor: String,
    action: Cow<'static, str>,
    outcome: &'static str,
    organization_id: Option<i64>,
}

/// The first of a kind, and how many followed.
struct Counted {
    first: Entry,
    times: u64,
    /// What they were about, beyond those that were noted one by one: as many as are named.
    subjects: BTreeMap<String, u64>,
}

impl Repeated {
    /// Whether this one is noted by itself.
    pub fn count(&self, entry: &Entry) -> bool {
        let kind = Kind {
            actor: entry.actor.clone(),
            action: entry.action.clone(),
            outcome: entry.outcome,
            organization_id: entry.organization_id,
        };
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counted =
            kinds.entry(kind).or_insert_with(|| Counted { first: entry.clone(), times: 0, subjects: BTreeMap::new() });
        counted.times += 1;
        let is_noted = counted.times <= ONE_BY_ONE;
        if !is_noted && (counted.subjects.len() < SUBJECTS_NAMED || counted.subjects.contains_key(&entry.subject)) {
            *counted.subjects.entry(entry.subject.clone()).or_default() += 1;
        }
        is_noted
    }

    /// What was counted only, as entries; counting begins anew.
    fn take(&self) -> Vec<Entry> {
        let kinds = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let more = kinds.into_values().filter(|counted| counted.times > ONE_BY_ONE);
        more.map(|Counted { first, times, subjects }| {
            let more = times - ONE_BY_ONE;
            let named: u64 = subjects.values().sum();
            let mut of: Vec<String> = subjects.iter().map(|(subject, times)| format!("{subject} ({times})")).collect();
            if named < more {
                of.push(format!("others ({})", more - named));
            }
            let details = format!("{more} times more within a minute: {}", of.join(", "));
            Entry { subject: first.subject.split(' ').next().unwrap_or_default().to_owned(), details, ..first }
        })
        .collect()
    }
}

/// Notes what is refused to somebody whose token is good, and what failed of what would change something. What was done
/// notes itself, in its transaction.
pub async fn note_refused(State(hub): State<Arc<HubState>>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let (method, headers) = (request.method().clone(), request.headers().clone());
    let named = Arc::<Named>::default();
    request.extensions_mut().insert(named.clone());
    let response = next.run(request).await;
    let status = response.status();
    let changes = method != Method::GET && method != Method::HEAD;
    if status == StatusCode::INSUFFICIENT_STORAGE {
        hub.problems.set(problem::Kind::DiskFull, Some(problem::DISK_FULL.to_owned()));
    } else if changes && status.is_success() {
        hub.problems.set(problem::Kind::DiskFull, None);
    }
    // A review that somebody may not see answers like one that does not exist.
    let is_hidden = !changes && status == StatusCode::NOT_FOUND && path.trim_matches('/').starts_with("review/");
    let is_refused = is_hidden || matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    if is_refused || (changes && (status.is_client_error() || status.is_server_error())) {
        let noted = note(&hub, &method, &path, &headers, &named, status, is_refused).await;
        if let Err(error) = noted {
            tracing::error!(%error, path, "a refusal is not in the audit log");
        }
    }
    response
}

async fn note(
    hub: &HubState,
    method: &Method,
    path: &str,
    headers: &axum::http::HeaderMap,
    named: &Named,
    status: StatusCode,
    is_refused: bool,
) -> Result<(), HubError> {
    let mut parts = path.trim_matches('/').split('/');
    let first = parts.next().unwrap_or_default();
    let Some((_, noun)) = SUBJECTS.iter().find(|(known, _)| *known == first) else { return Ok(()) };
    // Without a good token anybody could be anybody: sign-ins note themselves.
    let claims = authentication::bearer(headers).and_then(|token| hub.tokens.check(token, Purpose::Access));
    let Ok(claims) = claims else { return Ok(()) };
    let Ok(caller) = authentication::caller_of(hub, &claims).await else {
        return note_ended(hub, &claims).await;
    };
    let rest: Vec<&str> = parts.collect();
    // A node reports what it is told to; that the server does not want it any more is no news.
    if caller.user_id().is_none() && (!is_refused || status == StatusCode::NOT_FOUND) {
        return Ok(());
    }
    let named = named.0.get().copied().unwrap_or_default();
    let id = match first {
        "account" | "password" => caller.user_id(),
        _ => rest.iter().find_map(|part| part.parse::<i64>().ok()).or(named.id),
    };
    let subject = id.map_or_else(|| (*noun).to_owned(), |id| format!("{noun} {id}"));
    // Of a member it is told to the member; else to whom it belongs, or would.
    let (of, of_id) = match (rest.iter().find(|part| matches!(**part, "organization" | "node")), first) {
        (Some(member), _) if named.id.is_some() => (*member, named.id),
        (Some(_), "kill") => ("node", named.id),
        _ => (*noun, id),
    };
    let organization_id = match of_id {
        Some(id) => organization_of(hub, of, id).await?,
        None => named.organization_id,
    };
    let organization_id = organization_id.or(Some(caller.authority.organization_id));
    let subject = match (first, id) {
        // As all other entries about reviews.
        ("review", Some(id)) => run_of_review(hub, id).await?.unwrap_or(subject),
        _ => subject,
    };
    let entry = Entry::done(&caller.authority.actor, action(method, first, &rest), subject)
        .outcome(if is_refused { "refused" } else { "failed" })
        .details(status.as_str())
        .of(organization_id);
    if hub.repeated.count(&entry) { record(hub, &entry).await } else { Ok(()) }
}

/// Notes that somebody came with a token of a user that has ended before its time: somebody may have it who should not.
pub async fn note_ended(hub: &HubState, claims: &Claims) -> Result<(), HubError> {
    let (ClientType::User, Subject::Id(id)) = (claims.client_type, &claims.sub) else { return Ok(()) };
    let organization_id: Option<i64> = sqlx::query_scalar("SELECT organization_id FROM user WHERE id = ?")
        .bind(id)
        .fetch_optional(hub.store.reader())
        .await?;
    let entry = Entry::done("somebody", "token.ended", format!("user {id}")).outcome("refused").of(organization_id);
    if hub.repeated.count(&entry) { record(hub, &entry).await } else { Ok(()) }
}

/// Whose admins read of what was tried with this.
async fn organization_of(hub: &HubState, noun: &str, id: i64) -> Result<Option<i64>, HubError> {
    let query = match noun {
        "user" => "SELECT organization_id FROM user WHERE id = ?",
        "role" => "SELECT organization_id FROM role WHERE id = ?",
        "organization" => "SELECT id FROM organization WHERE id = ?",
        "node" | "key" => "SELECT organization_id FROM node WHERE id = ?",
        "task" => "SELECT init_organization_id FROM task WHERE id = ?",
        "run" => "SELECT organization_id FROM run WHERE id = ?",
        "review" => "SELECT organization_id FROM review WHERE id = ?",
        _ => return Ok(None),
    };
    Ok(sqlx::query_scalar(query).bind(id).fetch_optional(hub.store.reader()).await?.flatten())
}

async fn run_of_review(hub: &HubState, id: i64) -> Result<Option<String>, HubError> {
    let query = sqlx::query_scalar::<_, i64>("SELECT run_id FROM review WHERE id = ?").bind(id);
    Ok(query.fetch_optional(hub.store.reader()).await?.map(|run| format!("run {run}")))
}

/// What was tried, by the name that the entry has when it is done.
fn action(method: &Method, first: &str, rest: &[&str]) -> Cow<'static, str> {
    let verb = match *method {
        Method::GET | Method::HEAD => "view",
        Method::POST => "create",
        Method::DELETE => "delete",
        _ => "edit",
    };
    let parts = [
        ("invitation", "user.invite"),
        ("end-sessions", "user.end_sessions"),
        ("reset-second-factor", "second_factor.reset"),
        ("confirm", "second_factor.set"),
        ("remove", "second_factor.remove"),
        ("second-factor", "second_factor.begin"),
        ("recovery-codes", "recovery_code.create"),
        ("decision", "review.decide"),
    ];
    let of_part = parts.iter().find(|(part, _)| verb != "view" && rest.contains(part));
    if let Some((_, action)) = of_part {
        return (*action).into();
    }
    let is_member = rest.iter().any(|part| matches!(*part, "organization" | "node"));
    match (first, verb) {
        ("result", "view") => "result.read".into(),
        ("kill", _) => "task.stop".into(),
        ("password", _) => "password.change".into(),
        ("recover", _) => "node.new_key".into(),
        ("column", _) => "column.ask".into(),
        ("account", "create") => "account.edit".into(),
        ("run", "edit") => "run.report".into(),
        ("role", "create" | "delete") if rest.contains(&"rule") => "role.edit".into(),
        ("collaboration" | "study", "create") if is_member => "member.add".into(),
        ("collaboration" | "study", "delete") if is_member => "member.remove".into(),
        (first, verb) => format!("{first}.{verb}").into(),
    }
}

/// Writes what was only counted since it was last called, and who tried to sign in too often.
pub async fn note_repeated(hub: &HubState) -> Result<(), HubError> {
    let mut entries = hub.repeated.take();
    entries.extend(limited_in_words(hub.limits.take_limited()));
    if entries.is_empty() {
        return Ok(());
    }
    let mut transaction = hub.store.bookkeeping().begin().await?;
    for entry in &entries {
        audit::append(&mut transaction, entry).await?;
    }
    Ok(transaction.commit().await?)
}

fn limited_in_words(limited: Vec<(IpAddr, u64)>) -> Option<Entry> {
    if limited.is_empty() {
        return None;
    }
    let named = limited.iter().take(ADDRESSES).map(|(address, times)| format!("{address} {times} times"));
    let more = limited.len().saturating_sub(ADDRESSES);
    let rest = (more > 0).then(|| format!("and {more} addresses more"));
    let details = named.chain(rest).collect::<Vec<_>>().join(", ");
    Some(Entry::done("somebody", "sign_in.limit", "too many attempts").outcome("refused").details(details))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_becomes_some_entries_and_a_number() {
        let repeated = Repeated::default();
        let entry = |n: i64| Entry::done("user 5 (viewer)", "user.view", format!("user {n}")).outcome("refused");
        let noted = (0..1_000).filter(|n| repeated.count(&entry(*n))).count();
        assert_eq!(noted as u64, ONE_BY_ONE);
        let others = Entry::done("user 6 (root)", "user.view", "user 7").outcome("refused");
        assert!(repeated.count(&others), "who does little is noted beside who does much");
        let counted = repeated.take();
        assert_eq!((counted.len(), counted[0].subject.as_str()), (1, "user"));
        let details = &counted[0].details;
        assert!(details.starts_with("995 times more within a minute: user 10 (1), user 11 (1)"), "{details}");
        assert!(details.ends_with("user 9 (1), others (975)"), "{details}");
        assert!(repeated.take().is_empty() && repeated.count(&entry(1)));
    }

    #[test]
    fn what_one_organization_is_spared_hides_nothing_that_another_is_not() {
        let repeated = Repeated::default();
        let entry = |n: i64, of: i64| {
            Entry::done("user 5 (viewer)", "user.edit", format!("user {n}")).outcome("refused").of(of)
        };
        let noted = (0..100).filter(|_| repeated.count(&entry(4, 4))).count();
        assert_eq!(noted as u64, ONE_BY_ONE);
        let noted = (0..105).filter(|_| repeated.count(&entry(3, 2))).count();
        assert_eq!(noted as u64, ONE_BY_ONE, "the first of its organization");
        let counted = repeated.take();
        let of_other = counted.iter().find(|entry| entry.organization_id == Some(2)).unwrap();
        assert_eq!(of_other.details, "100 times more within a minute: user 3 (100)");
    }

    #[test]
    fn addresses_that_tried_too_often_are_named_up_to_a_number() {
        let address = |n: u8| (IpAddr::from([192, 0, 2, n]), 3);
        assert!(limited_in_words(Vec::new()).is_none());
        assert_eq!(limited_in_words(vec![address(1)]).unwrap().details, "192.0.2.1 3 times");
        let many = limited_in_words((0..50).map(address).collect()).unwrap().details;
        assert!(many.ends_with("192.0.2.19 3 times, and 30 addresses more"), "{many}");
    }
}
