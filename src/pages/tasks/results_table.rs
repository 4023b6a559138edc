use leptos::prelude::*;

use super::state::{Cell, Results};
use crate::pages::components::TableFrame;

/// Results as a table, with the raw JSON one click away.
#[component]
pub fn ResultsTable(
    results: Results,
    /// The address of the results without `.csv` or `.json`.
    downloads: String,
) -> impl IntoView {
    let Results { aggregated, columns, more_columns, rows, raw } = results;
    view! {
        <TableFrame label="Results table">
            <table class="results">
                <thead>
                    <tr>
                        <th scope="col">{if aggregated { "Aggregated at" } else { "Organization" }}</th>
                        {columns.into_iter().map(|column| view! { <th scope="col">{column}</th> }).collect_view()}
                    </tr>
                </thead>
                <tbody>
                    {rows.into_iter().map(|row| view! {
                        <tr>
                            <th scope="row">{row.organization}</th>
                            {row.cells.into_iter().map(|cell| match cell {
                                Cell::Missing => view! { <td class="muted">"–"</td> }.into_any(),
                                Cell::Absent(words) => view! { <td class="absent">{words}</td> }.into_any(),
                                Cell::Number(number) => view! { <td class="number">{number}</td> }.into_any(),
                                Cell::Text(text) => view! { <td>{text}</td> }.into_any(),
                                Cell::Nested(json) => view! { <td><pre>{json}</pre></td> }.into_any(),
                            }).collect_view()}
                        </tr>
                    }).collect_view()}
                </tbody>
            </table>
        </TableFrame>
        {(more_columns > 0).then(|| view! {
            <p class="muted">{format!("{more_columns} more columns are not shown; the downloads have them.")}</p>
        })}
        <p class="downloads">
            <a class="button" href=format!("{downloads}.csv") download="">"Download CSV"</a>
            <a class="button" href=format!("{downloads}.json") download="">"Download JSON"</a>
        </p>
        <details class="raw">
            <summary>"Show raw JSON"</summary>
            <pre tabindex="0">{raw}</pre>
        </details>
    }
}
