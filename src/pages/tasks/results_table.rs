use leptos::prelude::*;

use super::state::{Cell, Results};
use crate::pages::components::TableFrame;

/// Texts up to this length, in bytes, such as `-Infinity`, stay in one line.
const SHORT: usize = 12;

/// Results as a table, with the raw JSON one click away.
#[component]
pub fn ResultsTable(
    results: Results,
    /// The address of the results without `.csv` or `.json`.
    downloads: String,
) -> impl IntoView {
    let Results { aggregated, columns, more_columns, rows, more_rows, raw } = results;
    // A column with nothing but numbers is set at its end, with its heading.
    let is_number = |column: usize| {
        let mut cells = rows.iter().filter_map(|row| row.cells.get(column));
        cells.all(|cell| matches!(cell, Cell::Number(_) | Cell::Missing | Cell::Absent(_)))
    };
    let are_numbers: Vec<bool> = (0..columns.len()).map(is_number).collect();
    let class = |is_number: &bool| is_number.then_some("number");
    let has_earlier = rows.iter().any(|row| row.answered_at.is_some());
    view! {
        <TableFrame label="Results table">
            <table class="results">
                <thead>
                    <tr>
                        <th scope="col">{if aggregated { "Aggregated at" } else { "Organization" }}</th>
                        {columns.into_iter().zip(&are_numbers).map(|(column, is_number)| view! { <th scope="col" class=class(is_number)>{column}</th> }).collect_view()}
                    </tr>
                </thead>
                <tbody>
                    {rows.into_iter().map(|row| view! {
                        <tr>
                            <th scope="row">
                                {row.organization}
                                {row.answered_at.map(|at| view! { <span class="answered">"as of "{at}</span> })}
                            </th>
                            {row.cells.into_iter().zip(&are_numbers).map(|(cell, is_number)| match cell {
                                Cell::Missing => view! { <td class="muted" class:number=*is_number>"–"</td> }.into_any(),
                                Cell::Absent(words) => view! { <td class="absent" class:number=*is_number>{words}</td> }.into_any(),
                                Cell::Number(number) => view! { <td class:number=*is_number>{number}</td> }.into_any(),
                                Cell::Text(text) => {
                                    let is_short = text.len() <= SHORT;
                                    view! { <td class:short=is_short>{text}</td> }.into_any()
                                }
                                Cell::Nested(json) => view! { <td><pre tabindex="0">{json}</pre></td> }.into_any(),
                            }).collect_view()}
                        </tr>
                    }).collect_view()}
                </tbody>
            </table>
        </TableFrame>
        {has_earlier.then(|| view! {
            <p class="muted results-note">
                "A dated result was given earlier: since then too few people have come or gone for a new one, or the data could not be read."
            </p>
        })}
        {(more_columns > 0).then(|| view! {
            <p class="muted">{format!("{more_columns} more columns are not shown; the downloads have them.")}</p>
        })}
        {(more_rows > 0).then(|| view! {
            <p class="muted">{format!("{more_rows} more rows are not shown; the downloads have them.")}</p>
        })}
        <p class="downloads">
            <a class="button" href=format!("{downloads}.csv") download="">"Download CSV"</a>
            <a class="button" href=format!("{downloads}.csv?for=excel") download="">"CSV for Excel"</a>
            <a class="button" href=format!("{downloads}.json") download="">"Download JSON"</a>
        </p>
        <details class="raw">
            <summary>"Show raw JSON"</summary>
            <pre tabindex="0">{raw}</pre>
        </details>
    }
}
