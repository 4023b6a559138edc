#!/bin/sh
# A vantage6 algorithm for the tests: /algorithm in the image that containers.py makes, run by busybox.
# Methods: count_rows (argument wait_for: name of a file that the test makes when the method may go on),
# total_rows (argument organization: counts there in a subtask, and adds what comes back), sleep; others fail.
set -eu

# The node writes the values of its variables in base32, with "!" in place of "=".
decode() {
  printf '%s' "$1" | awk '{
    gsub(/!/, "")
    # Bits that are left from the letters before, and the power of two above them.
    held = 0; above = 1
    for (place = 1; place <= length($0); place++) {
      held = held * 32 + index("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", substr($0, place, 1)) - 1
      above *= 32
      if (above >= 256) {
        above /= 256
        printf "%c", int(held / above)
        held %= above
      }
    }
  }'
}

# The value of a name in the JSON on standard input; enough for the tests' own input and the hub's plain answers.
value_of() { sed -n "s/.*\"$1\": *\"\\{0,1\\}\\([^\",}]*\\).*/\\1/p" | head -n 1; }

api() { wget -q -O - --header "Authorization: Bearer $(cat "$(decode "$TOKEN_FILE")")" "$@"; }

input=$(cat "$(decode "$INPUT_FILE")")
output=$(decode "$OUTPUT_FILE")
method=$(printf '%s' "$input" | value_of method)
echo "method $method on $(decode "$USER_REQUESTED_DATABASE_LABELS")"

case $method in
  count_rows)
    database=$(decode "$DEFAULT_DATABASE_URI")
    rows=0
    # The first line has the names of the columns.
    for row in $(tail -n +2 "$database" | tr -d ' '); do
      rows=$((rows + 1))
      echo "row $rows"
      sleep 0.1
    done
    wait_for=$(printf '%s' "$input" | value_of wait_for)
    if [ -n "$wait_for" ]; then
      echo "waiting for $wait_for"
      seconds=0
      until [ -e "/mnt/data/$wait_for" ] || [ "$seconds" -ge 300 ]; do
        seconds=$((seconds + 1))
        sleep 1
      done
    fi
    printf '{"rows": %d}' "$rows" >"$output"
    echo "counted $rows rows"
    ;;
  total_rows)
    proxy=$(decode "$HOST"):$(decode "$PORT")$(decode "$API_PATH")
    organization=$(printf '%s' "$input" | value_of organization)
    # What the node says of this run stands in the middle part of the token.
    identity=$(cut -d . -f 2 "$(decode "$TOKEN_FILE")" | tr -- '-_' '+/')
    identity=$(printf '%s===' "$identity" | base64 -d 2>/dev/null || true)
    collaboration=$(printf '%s' "$identity" | value_of collaboration_id)
    image=$(printf '%s' "$identity" | value_of image)
    part=$(printf '{"method": "count_rows", "kwargs": {}}' | base64 | tr -d '\n')
    task=$(api --header 'Content-Type: application/json' --post-data "{\"name\": \"part\", \"image\": \"$image\",
      \"collaboration_id\": $collaboration, \"description\": \"\", \"databases\": [{\"label\": \"default\"}],
      \"organizations\": [{\"id\": $organization, \"input\": \"$part\"}]}" "$proxy/task" | tr -d '\n')
    # Without the objects inside, which have ids of their own.
    id=$(printf '%s' "$task" | sed -e ':again' -e 's/\(.\){[^{}]*}/\1/' -e 't again' | value_of id)
    echo "made task $id"
    status=pending
    while [ "$status" = pending ] || [ "$status" = initializing ] || [ "$status" = active ]; do
      sleep 1
      status=$(api "$proxy/task/$id/status" | value_of status)
    done
    echo "task $id is $status"
    result=$(api "$proxy/result?task_id=$id" | value_of result | base64 -d)
    printf '{"total": %d}' "$(printf '%s' "$result" | value_of rows)" >"$output"
    ;;
  sleep)
    echo "sleeping"
    sleep 3600
    ;;
  *)
    echo "cannot do $method" >&2
    exit 3
    ;;
esac
