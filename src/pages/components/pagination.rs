use leptos::prelude::*;

/// Links to the other pages of a list.
#[component]
pub fn Pagination(
    page: usize,
    per_page: usize,
    total: usize,
    /// The address of a page of the list.
    address: Box<dyn Fn(usize) -> String>,
) -> impl IntoView {
    let last = total.div_ceil(per_page).max(1);
    let first_item = ((page - 1) * per_page + 1).min(total);
    let last_item = (page * per_page).min(total);
    view! {
        <nav class="pagination" aria-label="Pages">
            <span>{format!("{first_item}–{last_item} of {total}")}</span>
            {(page > 1).then(|| view! { <a class="button" rel="prev" href=address(page - 1)>"Previous"</a> })}
            {(page < last).then(|| view! { <a class="button" rel="next" href=address(page + 1)>"Next"</a> })}
        </nav>
    }
}
