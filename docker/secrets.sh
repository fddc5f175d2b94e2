#!/bin/sh
# Makes what one installation keeps for itself, random each time, and never overwrites anything:
#   secrets/database_password       of PostgreSQL
#   secrets/grafana_admin_password  of Grafana's user `admin`
#   secrets/principals.toml         who may speak at the door; it holds digests, the tokens are shown here once
#   secrets/alert_webhook_url       empty; see alertmanager/alertmanager.yml
#   .env                            the identity of the Kafka cluster, to which the database is tied
# The folder is closed to other users of this machine; the files in it must be readable by the containers' own users.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
chmod 0700 secrets

random() { # bytes -> text without characters that a URL or a shell would change
    head -c "$1" /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'
}

digest() { # the SHA-256 of what is given
    if command -v sha256sum >/dev/null; then printf '%s' "$1" | sha256sum; else printf '%s' "$1" | shasum -a 256; fi |
        cut -d ' ' -f 1
}

keep() { # file, text: writes it unless the file is there
    if [ -e "$1" ]; then
        echo "kept    docker/$1"
    else
        printf '%s' "$2" >"$1"
        chmod 0444 "$1"
        echo "made    docker/$1"
    fi
}

keep secrets/database_password "$(random 24)"
keep secrets/grafana_admin_password "$(random 18)"
keep secrets/alert_webhook_url ""
keep .env "KAFKA_CLUSTER_ID=$(random 16)
"
if [ -e secrets/principals.toml ]; then
    echo "kept    docker/secrets/principals.toml"
else
    app="gp_$(random 32)"
    operations="gp_$(random 32)"
    keep secrets/principals.toml "# Who may speak at the door. The running gateway takes a change of this file within seconds; write it in place
# (\`cat new >principals.toml\`): a file put in its place is another file, which the container does not see.
# More principals: \`gridpatrol principal token NAME\` prints a token and the line that belongs here.

# Whatever grid members use: it speaks for their posts. Narrow \`actors\` to the posts that you have.
[principal.app]
actors = [\"*\"]
tokens = [\"sha256:$(digest "$app")\"]

# People who run it: they read everything, activate packs and settle what stands still.
[principal.operations]
reads = true
operator = true
tokens = [\"sha256:$(digest "$operations")\"]
"
    chmod 0644 secrets/principals.toml
    echo
    echo "Tokens, shown this once:"
    echo "  app         $app"
    echo "  operations  $operations"
fi
