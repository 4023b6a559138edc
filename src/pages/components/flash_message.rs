use leptos::prelude::*;

use crate::session::{Flash, FlashKind};

/// A message from the page before.
#[component]
pub fn FlashMessage(flash: Option<Flash>) -> impl IntoView {
    flash.map(|flash| {
        let (class, role) = match flash.kind {
            FlashKind::Success => ("flash success", "status"),
            FlashKind::Error => ("flash error", "alert"),
        };
        view! { <p class=class role=role>{flash.text}</p> }
    })
}
