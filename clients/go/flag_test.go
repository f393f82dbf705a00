// go test ./...   (PROBER_TEST_SOCKET: a Valkey on a Unix socket, for the live test)
package proberflag

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

type step struct {
	AtS        float64           `json:"at_s"`
	State      map[string]string `json:"state"`
	Candidates map[string]string `json:"candidates"`
	Message    *string           `json:"message"`
	Serves     string            `json:"serves"`
	Strange    *string           `json:"unsupported"`
	ReadBack   bool              `json:"read_back"`
}

type golden struct {
	About    string              `json:"about"`
	Keys     []map[string]string `json:"keys"`
	BadNames []string            `json:"bad_names"`
	Messages []struct {
		Text string `json:"text"`
		Said *struct {
			Provider   string `json:"provider"`
			Epoch      int64  `json:"epoch"`
			DecisionID string `json:"decision_id"`
		} `json:"said"`
	} `json:"messages"`
	Defaults []struct {
		Default   string   `json:"default"`
		Supported []string `json:"supported"`
		Good      bool     `json:"good"`
	} `json:"defaults"`
	Fallbacks []struct {
		Candidates map[string]string `json:"candidates"`
		Primary    string            `json:"primary"`
		Supported  []string          `json:"supported"`
		Order      []string          `json:"order"`
		Fallbacks  []string          `json:"fallbacks"`
	} `json:"fallbacks"`
	Lives []struct {
		Name      string   `json:"name"`
		Default   string   `json:"default"`
		Supported []string `json:"supported"`
		Steps     []step   `json:"steps"`
	} `json:"lives"`
}

func contract(t *testing.T) (found golden) {
	t.Helper()
	text, err := os.ReadFile("../golden.json")
	if err != nil {
		t.Fatal(err)
	}
	// A part that this test does not know would be one it passes over.
	strict := json.NewDecoder(bytes.NewReader(text))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&found); err != nil {
		t.Fatal(err)
	}
	if len(found.Messages) == 0 || len(found.Fallbacks) == 0 || len(found.Lives) == 0 || len(found.Defaults) == 0 {
		t.Fatal("no cases")
	}
	return found
}

func silent(context.Context, string) (map[string]string, error) {
	return nil, errors.New("no Redis")
}

func made(t *testing.T, options Options) *Flag {
	t.Helper()
	if options.Route == "" {
		options.Route = "chat"
	}
	if options.Read == nil {
		options.Read = silent
	}
	flag, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	return flag
}

func TestKeysAreTheContracts(t *testing.T) {
	for _, wanted := range contract(t).Keys {
		keys, err := KeysOf(wanted["route"], wanted["namespace"])
		said := Keys{
			wanted["primary"], wanted["state"], wanted["candidates"], wanted["changed"],
			wanted["reports"],
		}
		if err != nil || keys != said {
			t.Errorf("%v: %v, %v", wanted, keys, err)
		}
	}
	for _, bad := range contract(t).BadNames {
		if _, err := KeysOf(bad, "prober"); err == nil {
			t.Errorf("%q is no name", bad)
		}
	}
}

func TestMessagesAreReadOrRefused(t *testing.T) {
	for _, each := range contract(t).Messages {
		said, good := DecodeChanged(each.Text)
		if good != (each.Said != nil) {
			t.Errorf("%s: %v", each.Text, good)
		}
		if good && said != (Message{each.Said.Provider, each.Said.Epoch, each.Said.DecisionID}) {
			t.Errorf("%s: %v", each.Text, said)
		}
	}
}

func TestFallbacksFollowThePrimaryInTheRoutesOrder(t *testing.T) {
	for _, each := range contract(t).Fallbacks {
		// Redis may name another primary than a default: whom it serves is what counts.
		flag := made(t, Options{Supported: each.Supported, Fallbacks: each.Order})
		flag.Took(map[string]string{"provider": each.Primary, "epoch": "1", "decision_id": "d"}, each.Candidates)
		if found := flag.Fallbacks(); !reflect.DeepEqual(found, each.Fallbacks) {
			t.Errorf("%v, not %v", found, each.Fallbacks)
		}
	}
}

func TestADefaultThatIsNotSupportedIsRefused(t *testing.T) {
	for _, each := range contract(t).Defaults {
		options := Options{Route: "chat", Read: silent, Default: each.Default, Supported: each.Supported}
		if _, err := New(options); (err == nil) != each.Good {
			t.Errorf("%v: %v", each, err)
		}
	}
}

func TestAFlagThatCannotBeFollowedIsToldOnce(t *testing.T) {
	told := []string{}
	flag := made(t, Options{Default: "x", Supported: []string{"x"}, OnUnsupported: func(provider string) {
		told = append(told, provider)
	}})
	for epoch, provider := range []string{"a", "a", "x", "a"} {
		said := map[string]string{"provider": provider, "epoch": strconv.Itoa(epoch + 1), "decision_id": "d"}
		flag.Took(said, nil)
	}
	if flag.Primary() != "x" || !reflect.DeepEqual(told, []string{"a", "a"}) {
		t.Error(flag.Primary(), told)
	}
}

func TestLives(t *testing.T) {
	for _, life := range contract(t).Lives {
		t.Run(life.Name, func(t *testing.T) {
			began := time.Unix(1_800_000_000, 0)
			now := began
			flag := made(t, Options{
				Default: life.Default, Supported: life.Supported,
				Now: func() time.Time { return now },
			})
			for _, step := range life.Steps {
				now = began.Add(time.Duration(step.AtS * float64(time.Second)))
				if step.State != nil {
					flag.Took(step.State, step.Candidates)
				}
				if step.Message != nil && flag.Heard(*step.Message) != step.ReadBack {
					t.Errorf("at %v s: read back is not %v", step.AtS, step.ReadBack)
				}
				if served := flag.Primary(); served != step.Serves {
					t.Errorf("at %v s: %s, not %s", step.AtS, served, step.Serves)
				}
				if step.Strange != nil && flag.Unsupported() != *step.Strange {
					t.Errorf("at %v s: %q, not %q", step.AtS, flag.Unsupported(), *step.Strange)
				}
			}
		})
	}
}

func TestRedisAwayLeavesTheLastKnown(t *testing.T) {
	flag := made(t, Options{Default: "x"})
	if flag.Refresh(context.Background()) == nil || flag.Primary() != "x" {
		t.Error("an error, and the default")
	}
	if _, ever := flag.ReadAge(); ever {
		t.Error("never read")
	}
}

func TestTheEnvironmentForcesAProvider(t *testing.T) {
	t.Setenv("PROBER_FORCE_MY_MAIL", "forced")
	other := made(t, Options{Route: "my-mail", Default: "x", Supported: []string{"x"}})
	if other.Primary() != "x" {
		t.Error("what is not supported is not forced either")
	}
	flag := made(t, Options{Route: "my-mail", Default: "x"})
	flag.Took(map[string]string{"provider": "a", "epoch": "1", "decision_id": "d"}, nil)
	if flag.Primary() != "forced" {
		t.Error(flag.Primary())
	}
}

func TestWithoutReadItSaysWhatToGive(t *testing.T) {
	if _, err := New(Options{Route: "chat"}); err == nil {
		t.Error("no error")
	}
}

func TestManyGoroutinesShareAFlag(t *testing.T) {
	changes, lock := 0, sync.Mutex{}
	flag := made(t, Options{Default: "x", OnChange: func(string, string) {
		lock.Lock()
		defer lock.Unlock()
		changes++
	}})
	var all sync.WaitGroup
	for n := 0; n < 4; n++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for epoch := 1; epoch < 200; epoch++ {
				said := map[string]string{"provider": "a", "epoch": strconv.Itoa(epoch), "decision_id": "d"}
				flag.Took(said, nil)
				flag.Heard(`{"provider":"x","epoch":9,"decision_id":"d"}`)
				flag.Primary()
				flag.Fallbacks()
			}
		}()
	}
	all.Wait()
	if flag.Primary() != "a" || changes == 0 {
		t.Error(flag.Primary(), changes)
	}
}

// Enough of the Redis protocol for a test.
type bare struct {
	net.Conn
	from *bufio.Reader
}

func dial(t *testing.T, socket string) *bare {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &bare{conn, bufio.NewReader(conn)}
}

func (b *bare) send(parts ...string) ([]string, error) {
	fmt.Fprintf(b, "*%d\r\n", len(parts))
	for _, part := range parts {
		fmt.Fprintf(b, "$%d\r\n%s\r\n", len(part), part)
	}
	return b.answer()
}

func (b *bare) answer() ([]string, error) {
	line, err := b.from.ReadString('\n')
	if err != nil {
		return nil, err
	}
	line = strings.TrimSpace(line)
	size, _ := strconv.Atoi(line[1:])
	switch line[0] {
	case '-':
		return nil, errors.New(line)
	case '$':
		text := make([]byte, size+2)
		_, err := io.ReadFull(b.from, text)
		return []string{string(text[:size])}, err
	case '*':
		found := []string{}
		for n := 0; n < size; n++ {
			item, err := b.answer()
			if err != nil {
				return nil, err
			}
			found = append(found, item...)
		}
		return found, nil
	}
	return []string{line[1:]}, nil
}

func TestAFlagIsReadAndHeardOnARealServer(t *testing.T) {
	socket := os.Getenv("PROBER_TEST_SOCKET")
	if socket == "" {
		t.Skip("no PROBER_TEST_SOCKET")
	}
	writer, reader, listener := dial(t, socket), dial(t, socket), dial(t, socket)
	read := func(_ context.Context, key string) (map[string]string, error) {
		flat, err := reader.send("HGETALL", key)
		found := map[string]string{}
		for n := 0; n+1 < len(flat); n += 2 {
			found[flat[n]] = flat[n+1]
		}
		return found, err
	}
	flag := made(t, Options{Route: "go", Default: "x", Poll: time.Hour, Read: read})
	move := func(provider, epoch string) {
		said := []string{"HSET", flag.Keys.State, "provider", provider, "epoch", epoch, "decision_id", epoch}
		if _, err := writer.send(said...); err != nil {
			t.Fatal(err)
		}
	}
	until := func(provider string) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); flag.Primary() != provider; {
			if time.Now().After(end) {
				t.Fatal("waited in vain")
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	move("a", "10")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go flag.Run(ctx)
	until("a")
	if _, err := listener.send("SUBSCRIBE", flag.Keys.Changed); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			said, err := listener.answer()
			if err != nil {
				return
			}
			flag.Heard(said[len(said)-1])
		}
	}()
	move("b", "11")
	writer.send("PUBLISH", flag.Keys.Changed, `{"provider":"b","epoch":11,"decision_id":"11"}`)
	until("b")
}
