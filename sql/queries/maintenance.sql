-- name: analyze!
-- A table nobody has analysed makes the planner guess, and cached plans keep the guess: run it after bulk loading.
analyze;
