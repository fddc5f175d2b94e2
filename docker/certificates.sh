#!/bin/sh
# Makes what compose.tls.yaml needs beside secrets.sh, and never overwrites anything:
#   secrets/ca.pem, ca.key              an authority of this installation's own; the key goes nowhere
#   secrets/kafka.pem                   the broker's certificate with its key
#   secrets/postgres.pem, postgres.key  the database's
#   secrets/kafka_user_NAME             a password for each user of Kafka
# To renew a certificate remove its files, run this again, and restart its container. They are valid for two years.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
chmod 0700 secrets
command -v openssl >/dev/null || {
    echo "certificates.sh needs the openssl command (Debian: apt install openssl)" >&2
    exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

new_key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"

made() { # files: readable by the containers' own users; the folder is closed to others of this machine
    chmod 0444 "$@"
    echo "made    $(printf 'docker/%s ' "$@")"
}

signed() { # name: a key and a certificate for the host of that name, and for whoever asks it from inside
    cat >"$work/ext" <<END
subjectAltName=DNS:$1,DNS:localhost,IP:127.0.0.1
extendedKeyUsage=serverAuth,clientAuth
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
END
    # shellcheck disable=SC2086 # they are several words
    openssl req $new_key -keyout "$work/key" -out "$work/request" -subj "/CN=$1" 2>/dev/null
    openssl x509 -req -in "$work/request" -CA secrets/ca.pem -CAkey secrets/ca.key -CAcreateserial \
        -CAserial "$work/serial" -days 730 -extfile "$work/ext" -out "$work/certificate" 2>/dev/null
}

if [ -e secrets/ca.pem ]; then
    echo "kept    docker/secrets/ca.pem"
else
    # shellcheck disable=SC2086
    openssl req -x509 $new_key -keyout secrets/ca.key -out secrets/ca.pem -days 3650 \
        -subj "/CN=gridpatrol authority" -addext "keyUsage=critical,keyCertSign,cRLSign" 2>/dev/null
    made secrets/ca.pem
    chmod 0400 secrets/ca.key
fi
if [ -e secrets/kafka.pem ]; then
    echo "kept    docker/secrets/kafka.pem"
else
    signed kafka
    cat "$work/certificate" "$work/key" >secrets/kafka.pem
    made secrets/kafka.pem
fi
if [ -e secrets/postgres.pem ]; then
    echo "kept    docker/secrets/postgres.pem"
else
    signed postgres
    cp "$work/certificate" secrets/postgres.pem
    cp "$work/key" secrets/postgres.key
    made secrets/postgres.pem secrets/postgres.key
fi
for user in admin gateway worker performance alerts operator; do
    if [ -e "secrets/kafka_user_$user" ]; then
        echo "kept    docker/secrets/kafka_user_$user"
    else
        head -c 24 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n' >"secrets/kafka_user_$user"
        made "secrets/kafka_user_$user"
    fi
done
