//! The page's HTML. Whatever comes from outside goes through leptos, which escapes it.

use leptos::prelude::*;

use crate::{
    node::{
        review::{facts_of, subject_words},
        store::StoredReview,
    },
    protocol::{
        policy::ReviewMode,
        printable::printable,
        review::{ReviewState, Subject},
    },
};

const STYLE: &str = ":root{color-scheme:light dark;--ink:light-dark(#16242b,#e4ecef);--line:light-dark(#8797a0,#5f727b);--accent:light-dark(#0b6376,#6cc5d6);--bad:light-dark(#a8231b,#ff9d94)}body{font:100%/1.5 system-ui,sans-serif;color:var(--ink);background:light-dark(#f7f9fa,#12191d);max-width:60rem;margin:0 auto;padding:1rem}h1{font-size:1.5rem}h2{font-size:1.15rem}table{border-collapse:collapse;width:100%}th,td{text-align:start;vertical-align:top;padding:.4rem .6rem;border-bottom:1px solid var(--line);overflow-wrap:anywhere}a{color:var(--accent)}label{display:block;font-weight:600;margin-top:.6rem}.choice{font-weight:normal}fieldset{border:0;padding:0;margin:0}legend{font-weight:600;padding:0}input:not([type=radio]),textarea{font:inherit;width:100%;max-width:30rem;padding:.35rem .5rem;box-sizing:border-box;color:inherit;background:light-dark(#fff,#1a2328);border:1px solid var(--line);border-radius:.4rem}button{font:inherit;font-weight:600;padding:.4rem .9rem;margin-top:.6rem;border:1px solid var(--line);border-radius:.4rem;background:light-dark(#fff,#1a2328);color:inherit;cursor:pointer}.bad{color:var(--bad)}.top{display:flex;justify-content:space-between;align-items:baseline;gap:1rem;flex-wrap:wrap}";
/// SHA-256 of [`STYLE`] for the content security policy; a test keeps it right.
pub const STYLE_HASH: &str = "sha256-F39+/t/CNQJcsf5JsnJiOEZ7fa1g8vuz+KTpEa5PiMY=";

fn page(title: &str, name: Option<&str>, content: AnyView) -> String {
    let (title, name) = (format!("{title} · Atoll node"), name.map(str::to_owned));
    let refresh = name.is_some().then(|| view! { <meta http-equiv="refresh" content="60"/> });
    let html = view! {
        <html lang="en">
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1"/>
                <title inner_html=escape(&title)></title>
                <style inner_html=STYLE></style>
                {(title.starts_with("Reviews")).then_some(refresh)}
            </head>
            <body>
                {name.map(|name| view! {
                    <header class="top">
                        <p><a href="/">"All reviews of this node"</a></p>
                        <form method="post" action="/sign-out"><span>{name}</span> " " <button type="submit">"Sign out"</button></form>
                    </header>
                })}
                <main>{content}</main>
            </body>
        </html>
    };
    format!("<!DOCTYPE html>{}", html.to_html())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// A page that only says something.
pub fn message(heading: &str, text: &str) -> String {
    let (heading, text) = (heading.to_owned(), text.to_owned());
    Owner::new().with(|| page(&heading.clone(), None, view! { <h1>{heading}</h1> <p>{text}</p> }.into_any()))
}

pub fn sign_in(name: &str, error: Option<&str>) -> String {
    let (name, error) = (name.to_owned(), error.map(str::to_owned));
    Owner::new().with(|| {
        let content = view! {
            <h1>"Reviews of this node"</h1>
            <p>"This command on the node's machine gives a code that is good once, for ten minutes:"</p>
            <pre>"atoll node reviews code --config node.yaml"</pre>
            {error.map(|error| view! { <p class="bad" role="alert">{error}</p> })}
            <form method="post" action="/sign-in">
                <label for="code">"Code"</label>
                <input id="code" name="code" autocomplete="one-time-code" required=true autofocus=true/>
                <label for="name">"Your name, which stands beside what you decide"</label>
                <input id="name" name="name" maxlength="100" autocomplete="name" required=true value=name/>
                <p><button type="submit">"Sign in"</button></p>
            </form>
        };
        page("Sign in", None, content.into_any())
    })
}

pub fn list(name: &str, reviews: &[StoredReview], untold: Vec<String>) -> String {
    let reviews = reviews.to_vec();
    Owner::new().with(|| {
        let none = reviews.is_empty();
        let content = view! {
            <h1>"Reviews of this node"</h1>
            {none.then(|| view! { <p>"Nothing waits, and nothing was decided yet."</p> })}
            {(!none).then(|| view! {
                <table>
                    <thead><tr><th scope="col">"Run"</th><th scope="col">"About"</th><th scope="col">"State"</th><th scope="col">"Since (UTC)"</th></tr></thead>
                    <tbody>{reviews.into_iter().map(|review| {
                        let asked = &review.request.asked;
                        let link = format!("Run {}: {}", review.run_id, asked.function);
                        view! {
                            <tr>
                                <td><a href=format!("/reviews/{}", review.id)>{link}</a></td>
                                <td>{subject_words(&review)}</td>
                                <td>{review.state.as_str()}</td>
                                <td>{review.since.get(..16).unwrap_or_default().replace('T', " ")}</td>
                            </tr>
                        }
                    }).collect_view()}</tbody>
                </table>
            })}
            {(!untold.is_empty()).then(|| view! {
                <section aria-labelledby="untold">
                    <h2 id="untold">"What the server is not told"</h2>
                    <ul>{untold.into_iter().map(|text| view! { <li>{printable(&text)}</li> }).collect_view()}</ul>
                </section>
            })}
        };
        page("Reviews", Some(name), content.into_any())
    })
}

pub fn review(name: &str, review: &StoredReview, earlier: &[StoredReview], error: Option<&str>) -> String {
    let (review, error) = (review.clone(), error.map(str::to_owned));
    let facts = facts_of(&review, earlier);
    Owner::new().with(|| {
        let title = format!("Run {}: {}", review.run_id, review.request.asked.function);
        let of_run = review.subject == Subject::Run;
        let open = review.state == ReviewState::Waiting;
        let withdrawable = review.state == ReviewState::Approved
            && of_run
            && !(review.approval.this_run_only && review.used > 0);
        let action = format!("/reviews/{}", review.id);
        let first_time = review.mode == ReviewMode::FirstTime;
        let hash = review.hash.clone();
        let choice = move |value: &'static str, label: &'static str, checked: bool| view! {
            <label class="choice"><input type="radio" name="scope" value=value checked=checked/> " " {label}</label>
        };
        let content = view! {
            <h1>{title.clone()}</h1>
            {error.map(|error| view! { <p class="bad" role="alert">{error}</p> })}
            <table>
                <tbody>{facts.into_iter().map(|(name, value)| view! { <tr><th scope="row">{name}</th><td>{value}</td></tr> }).collect_view()}</tbody>
            </table>
            {open.then(|| view! {
                <h2>{if of_run { "Let it start" } else { "Release the result" }}</h2>
                <form method="post" action=action.clone()>
                    <input type="hidden" name="hash" value=hash.clone()/>
                    {of_run.then(|| view! {
                        <fieldset>
                        <legend>"For"</legend>
                        {choice("run", "this run only", !first_time)}
                        {choice("runs", "this many runs that ask for exactly the same:", false)}
                        <input name="runs" inputmode="numeric" aria-label="Number of runs"/>
                        {choice("until", "every run that asks for exactly the same, until the end of this day (UTC):", false)}
                        <input name="until" type="date" aria-label="Day"/>
                        {first_time.then(|| choice("always", "every run that asks for exactly the same, from now on", true))}
                        <label class="choice"><input type="checkbox" name="any_data" value="yes"/> " Other runs may start also when the data have changed by then"</label>
                        </fieldset>
                    })}
                    <label for="comment">"Comment, if you like"</label>
                    <input id="comment" name="reason" maxlength="1024"/>
                    <p><button type="submit" name="verdict" value="approve">{if of_run { "Approve" } else { "Release" }}</button></p>
                </form>
                <h2>{if of_run { "Refuse it" } else { "Withhold the result" }}</h2>
                <form method="post" action=action.clone()>
                    <input type="hidden" name="hash" value=hash.clone()/>
                    <label for="reason">"Reason, which the researcher reads"</label>
                    <input id="reason" name="reason" maxlength="1024"/>
                    <p><button type="submit" name="verdict" value="reject" class="bad">{if of_run { "Reject" } else { "Withhold" }}</button></p>
                </form>
            })}
            {withdrawable.then(|| view! {
                <h2>"Withdraw the approval"</h2>
                <form method="post" action=action.clone()>
                    <input type="hidden" name="hash" value=hash.clone()/>
                    <p><button type="submit" name="verdict" value="withdraw" class="bad">"Withdraw"</button></p>
                </form>
            })}
        };
        page(&title, Some(name), content.into_any())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine, engine::general_purpose::STANDARD};
    use sha2::{Digest, Sha256};

    #[test]
    fn the_policy_allows_exactly_this_style() {
        assert_eq!(STYLE_HASH, format!("sha256-{}", STANDARD.encode(Sha256::digest(STYLE))));
    }

    #[test]
    fn what_comes_from_outside_is_text() {
        let html = message("<script>", "<img src=x onerror=alert(1)>");
        assert!(!html.contains("<script>") && !html.contains("<img"), "{html}");
    }
}
