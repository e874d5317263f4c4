//go:build interop

package interop_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"
)

// Settings of nodes that are peers of each other.
var federated = []string{"STIGMEM_FEDERATION_ENABLED=true", "STIGMEM_FEDERATION_INSECURE=true", "STIGMEM_FEDERATION_PULL_INTERVAL_S=1"}

// sign signs an object with the key of the node of this store, as nodes sign what they send to peers.
func (p *place) sign(t testing.TB, o object) string {
	t.Helper()
	signed, err := json.Marshal(o) // with sorted keys and without blanks
	if err != nil {
		t.Fatal(err)
	}
	seed, err := base64.RawURLEncoding.DecodeString(p.Rows(t, "SELECT value FROM node_meta WHERE key = 'federation_privkey'")[0])
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(ed25519.Sign(ed25519.NewKeyFromSeed(seed), signed))
}

// publish makes a node publish its manifest. Its peers trust only facts that are signed with the key of the manifest.
func (n *node) publish(at *place) {
	n.t.Helper()
	about := n.get("/.well-known/stigmem", nil)
	manifest := object{
		"entity_uri": n.URL, "key_id": "first", "public_key": about["federation_pubkey"], "entities": []any{n.URL, about["node_id"]},
		"issued_at": nowText(), "expires_at": time.Now().AddDate(0, 0, 30).UTC().Format(time.RFC3339), "rotation_events": []object{},
	}
	manifest["signature"] = at.sign(n.t, manifest)
	n.want(http.StatusOK, http.MethodPut, "/v1/federation/manifest", nil, manifest)
}

// befriend makes a node a peer of another node, which then pulls facts from it.
func (n *node) befriend(peer *node, at *place) {
	n.t.Helper()
	about := peer.get("/.well-known/stigmem", nil)
	declaration := object{
		"node_url": peer.URL, "node_id": about["node_id"], "federation_pubkey": about["federation_pubkey"],
		"allowed_scopes": []string{"public"}, "signed_at": nowText(),
	}
	declaration["declaration_sig"] = at.sign(n.t, declaration)
	id := n.want(http.StatusCreated, http.MethodPost, "/v1/federation/peers", nil, declaration)["peer_id"].(string)
	n.post("/v1/federation/peers/"+id+"/approve", nil, object{
		"pubkey_fingerprint": fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(about["federation_pubkey"].(string))))})
}

// TestFederation: a node sends expired facts to its peers, in whose stores they are live. After decayctl has expired them
// there, another pull does not make them live again.
func TestFederation(t *testing.T) {
	onBoth(t, func(t *testing.T, p *place) {
		elsewhere := another(t, p)
		n, peer := serve(t, p, federated...), serve(t, elsewhere, federated...)
		n.assert(alice.in("public"))
		p.all(t)
		same(t, "at home", n.facts(nil))
		n.publish(p)
		peer.publish(elsewhere)
		n.befriend(peer, elsewhere)
		peer.befriend(n, p)
		const told = "user:alice admin 0.9"
		// The peer may pull before it knows the key of the signature. Then it skips the fact for good, since its cursor
		// moves on.
		peer.await("the peer has the fact", func() bool {
			elsewhere.Exec(t, "DELETE FROM replication_cursors")
			return slices.Contains(peer.facts(nil), told)
		})

		if swept := elsewhere.all(t); sweptBy(swept).decayed != 1 {
			t.Errorf("decayctl at the peer: %v", swept)
		}
		same(t, "at the peer", peer.facts(nil))
		elsewhere.Exec(t, "DELETE FROM replication_cursors") // the peer pulls all facts again
		n.assert(bob.in("public"))
		peer.await("the peer has the next fact", func() bool { return slices.Contains(peer.facts(nil), "user:bob guest 0.5") })
		same(t, "at the peer, after it was sent once more", peer.facts(nil), "user:bob guest 0.5")
	})
}
