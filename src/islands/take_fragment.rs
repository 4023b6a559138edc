use leptos::prelude::*;

/// Fills the field `#code` with what stands behind the `#` of the address: a secret of a link, which browsers send to
/// nobody.
#[island]
pub fn TakeFragment() -> impl IntoView {
    #[cfg(feature = "hydrate")]
    super::browser::fragment::fill("code");
    view! { <span hidden></span> }
}
