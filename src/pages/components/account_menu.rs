use leptos::prelude::*;

use crate::session::SignedIn;

/// Who is signed in, and the way out.
#[component]
pub fn AccountMenu(user: SignedIn) -> impl IntoView {
    let name = user.user.display_name();
    view! {
        <details class="account">
            <summary aria-label=format!("Account of {name}")>
                <span class="account-name">{name.clone()}</span>
            </summary>
            <div class="account-panel">
                <p>"Signed in as " <strong>{user.user.username}</strong></p>
                <p><a href="/account">"Your account"</a></p>
                <form method="post" action="/logout">
                    <button type="submit">"Sign out"</button>
                </form>
            </div>
        </details>
    }
}
