-- name: token
SELECT token, token_version FROM channels WHERE phone_number_id = $1 AND active;

-- name: app
SELECT verify_token, secret, previous_secret FROM meta_apps WHERE app_id = $1;
