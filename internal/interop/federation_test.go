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
)

// Settings of nodes that are to be each other's peers.
var federated = []string{"STIGMEM_FEDERATION_ENABLED=true", "STIGMEM_FEDERATION_INSECURE=true", "STIGMEM_FEDERATION_PULL_INTERVAL_S=1"}

// befriend makes a node a peer of another, which pulls facts from it from then on.
func (n *node) befriend(peer *node, at *place) {
	n.t.Helper()
	about := peer.get("/.well-known/stigmem", nil)
	declaration := object{
		"node_url": peer.url, "node_id": about["node_id"], "federation_pubkey": about["federation_pubkey"],
		"allowed_scopes": []string{"public"}, "signed_at": nowText(),
	}
	signed, err := json.Marshal(declaration)
	if err != nil {
		n.t.Fatal(err)
	}
	seed, err := base64.RawURLEncoding.DecodeString(at.Rows(n.t, "SELECT value FROM node_meta WHERE key = 'federation_privkey'")[0])
	if err != nil {
		n.t.Fatal(err)
	}
	declaration["declaration_sig"] = base64.RawURLEncoding.EncodeToString(ed25519.Sign(ed25519.NewKeyFromSeed(seed), signed))
	id := n.want(http.StatusCreated, http.MethodPost, "/v1/federation/peers", nil, declaration)["peer_id"].(string)
	n.post("/v1/federation/peers/"+id+"/approve", nil, object{
		"pubkey_fingerprint": fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(about["federation_pubkey"].(string))))})
}

// TestFederation: a node hands expired facts on to its peers, where they live; expired there too, they
// do not come to life again.
func TestFederation(t *testing.T) {
	onBoth(t, func(t *testing.T, p *place) {
		elsewhere := another(t, p)
		n, peer := serve(t, p, federated...), serve(t, elsewhere, federated...)
		n.assert(alice.in("public"))
		p.all(t)
		same(t, "at home", n.facts(nil))
		n.befriend(peer, elsewhere)
		peer.befriend(n, p)
		const told = "user:alice admin 0.9"
		peer.await("the peer has the fact", func() bool { return slices.Contains(peer.facts(nil), told) })

		if swept := elsewhere.all(t); sweptBy(swept).decayed != 1 {
			t.Errorf("decayctl at the peer: %v", swept)
		}
		same(t, "at the peer", peer.facts(nil))
		elsewhere.Exec(t, "DELETE FROM replication_cursors") // the peer pulls all of it again
		n.assert(bob.in("public"))
		peer.await("the peer has the next fact", func() bool { return slices.Contains(peer.facts(nil), "user:bob guest 0.5") })
		same(t, "at the peer, after it was sent once more", peer.facts(nil), "user:bob guest 0.5")
	})
}
