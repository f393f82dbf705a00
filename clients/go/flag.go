// Package proberflag reads the flag: one file, no dependency of its own. Bring the Redis client
// you trust.
//
//	rdb := redis.NewClient(options) // github.com/redis/go-redis/v9
//	flag, err := proberflag.New(proberflag.Options{
//		Route:   "chat",
//		Default: "anthropic",
//		Read: func(ctx context.Context, key string) (map[string]string, error) {
//			return rdb.HGetAll(ctx, key).Result()
//		},
//	})
//	go flag.Run(ctx)
//	go func() {
//		for message := range rdb.Subscribe(ctx, flag.Keys.Changed).Channel() {
//			flag.Heard(message.Payload)
//		}
//	}()
//
//	flag.Primary()   // a memory read: once per request; let open streams finish
//	flag.Fallbacks() // whom to try after it, in order
//	flag.Unsupported() // what the flag names and Supported does not; "" while all is well
//
// Only the hash `state` moves the flag. A message on the channel is a hint: served at once for a
// known provider, and taken back unless `state` confirms it within 2 s.
package proberflag

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	confirmWithin  = 2 * time.Second
	readBackWithin = 500 * time.Millisecond
	readTimeout    = time.Second
	retryAfter     = 2 * time.Second
)

var (
	name   = regexp.MustCompile(`^[a-z0-9_-]{1,64}$`)
	digits = regexp.MustCompile(`^[0-9]{1,16}$`)
)

// Keys are the Redis keys of one route. The braces keep them in one Cluster slot.
type Keys struct{ Primary, State, Candidates, Changed, Reports string }

// KeysOf fails for a name that cannot be one; an empty namespace is not "prober".
func KeysOf(route, namespace string) (Keys, error) {
	for what, said := range map[string]string{"route": route, "namespace": namespace} {
		if !name.MatchString(said) {
			return Keys{}, fmt.Errorf("%s %q: use a-z, 0-9, - and _ only, at most 64", what, said)
		}
	}
	key := func(last string) string { return namespace + ":{" + route + "}:" + last }
	return Keys{
		key("primary"), key("state"), key("candidates"), key("changed"), key("reports"),
	}, nil
}

// Message is one on the channel.
type Message struct {
	Provider   string
	Epoch      int64
	DecisionID string
}

// DecodeChanged is false for a message that is torn or forged.
func DecodeChanged(text string) (Message, bool) {
	var said map[string]json.RawMessage
	var found Message
	good := json.Unmarshal([]byte(text), &said) == nil &&
		part(said, "provider", &found.Provider) && name.MatchString(found.Provider) &&
		part(said, "epoch", &found.Epoch) && part(said, "decision_id", &found.DecisionID)
	if !good {
		return Message{}, false
	}
	return found, true
}

// part reads one part by its exact name: into a struct, "Epoch" would do for "epoch".
func part(said map[string]json.RawMessage, name string, into any) bool {
	raw, there := said[name]
	return there && string(raw) != "null" && json.Unmarshal(raw, into) == nil
}

// Options of a Flag.
type Options struct {
	Route string
	// Read is HGETALL: an empty map for no key.
	Read func(ctx context.Context, key string) (map[string]string, error)
	// Default is served until Redis has spoken; one of Supported.
	Default string
	// Supported is what this build can call; any other name is not served. Empty: every name.
	Supported []string
	// Fallbacks are whom to try until the daemon's own list has been read.
	Fallbacks []string
	// Namespace is "prober" when empty.
	Namespace string
	// Poll is 5 s when zero.
	Poll time.Duration
	// OnChange is called without a lock held.
	OnChange func(from, to string)
	// OnUnsupported is called without a lock held: the flag names what is not in Supported.
	OnUnsupported func(provider string)
	// Now is for tests.
	Now func() time.Time
}

type candidate struct {
	name     string
	eligible bool
	order    int
}

type hint struct {
	Message
	until time.Time
}

// Flag is one route's flag in memory; safe for many goroutines.
type Flag struct {
	Keys    Keys
	options Options
	forced  string
	soon    chan struct{}

	lock       sync.RWMutex
	known      map[string]bool
	supported  map[string]bool
	served     string
	strange    string
	order      []string
	epoch      int64
	hint       *hint
	candidates []candidate
	readAt     time.Time
}

// New fails for a route or a default that cannot be one, or without Read.
func New(options Options) (*Flag, error) {
	if options.Namespace == "" {
		options.Namespace = "prober"
	}
	if options.Poll == 0 {
		options.Poll = 5 * time.Second
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Read == nil {
		return nil, errors.New("give Read: HGETALL of the Redis client you use")
	}
	keys, err := KeysOf(options.Route, options.Namespace)
	if err != nil {
		return nil, err
	}
	flag := &Flag{
		Keys:      keys,
		options:   options,
		soon:      make(chan struct{}, 1),
		known:     map[string]bool{},
		supported: map[string]bool{},
		served:    options.Default,
	}
	for _, provider := range options.Supported {
		flag.supported[provider], flag.known[provider] = true, true
	}
	if options.Default != "" {
		if !flag.supports(options.Default) {
			return nil, fmt.Errorf("default %q is not in Supported: add it there, or take one of %s",
				options.Default, strings.Join(options.Supported, ", "))
		}
		flag.known[options.Default] = true
	}
	for _, provider := range options.Fallbacks {
		if !slices.Contains(flag.order, provider) {
			flag.order = append(flag.order, provider)
		}
		flag.known[provider] = true
	}
	forced := os.Getenv("PROBER_FORCE_" + strings.ToUpper(strings.ReplaceAll(options.Route, "-", "_")))
	if name.MatchString(forced) && flag.supports(forced) {
		flag.forced = forced
	}
	return flag, nil
}

// Primary is the provider to call now; "" while nothing is known and there is no default.
func (f *Flag) Primary() string {
	f.lock.RLock()
	defer f.lock.RUnlock()
	return f.primary()
}

func (f *Flag) primary() string {
	if f.forced != "" {
		return f.forced
	}
	if f.hint != nil && f.options.Now().Before(f.hint.until) {
		return f.hint.Provider
	}
	return f.served
}

// Fallbacks are whom to try after the primary now, in the route's order, or in the application's own.
func (f *Flag) Fallbacks() []string {
	f.lock.RLock()
	defer f.lock.RUnlock()
	names := f.order
	if len(f.candidates) > 0 {
		names = []string{}
		for _, c := range f.candidates {
			if c.eligible {
				names = append(names, c.name)
			}
		}
	}
	served, found := f.primary(), []string{}
	for _, each := range names {
		if each != served && f.supports(each) {
			found = append(found, each)
		}
	}
	return found
}

// Unsupported is the provider that the flag names and this build cannot call; "" while all is well.
func (f *Flag) Unsupported() string {
	f.lock.RLock()
	defer f.lock.RUnlock()
	return f.strange
}

// ReadAge is the time since Redis was last read well; false: never.
func (f *Flag) ReadAge() (time.Duration, bool) {
	f.lock.RLock()
	defer f.lock.RUnlock()
	return f.options.Now().Sub(f.readAt), !f.readAt.IsZero()
}

// Refresh reads now. After an error what is known stays.
func (f *Flag) Refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	state, err := f.options.Read(ctx, f.Keys.State)
	if err != nil {
		return err
	}
	candidates, err := f.options.Read(ctx, f.Keys.Candidates)
	if err != nil {
		candidates = nil // the flag itself is what matters
	}
	f.Took(state, candidates)
	return nil
}

// Took takes what was read.
func (f *Flag) Took(state, candidates map[string]string) {
	f.change(func() {
		f.readAt = f.options.Now()
		if list := decodeCandidates(candidates); len(list) > 0 {
			f.candidates = list
			for _, c := range list {
				f.known[c.name] = true
			}
		}
		provider, epoch, good := decodeState(state)
		if !good || epoch < f.epoch {
			return
		}
		f.epoch, f.known[provider] = epoch, true
		if f.hint != nil && epoch >= f.hint.Epoch {
			f.hint = nil
		}
		if f.supports(provider) {
			f.served, f.strange = provider, ""
		} else {
			f.strange = provider
		}
	})
}

// Heard takes a message of the channel; true when `state` should be read back: Run does that.
func (f *Flag) Heard(text string) bool {
	said, good := DecodeChanged(text)
	if !good {
		return false
	}
	wanted := false
	f.change(func() {
		newest, now := f.epoch, f.options.Now()
		if f.hint != nil && now.Before(f.hint.until) && f.hint.Epoch > newest {
			newest = f.hint.Epoch
		}
		if wanted = said.Epoch >= newest; !wanted {
			return
		}
		if said.Epoch > newest && f.known[said.Provider] && f.supports(said.Provider) {
			f.hint = &hint{said, now.Add(confirmWithin)}
		}
	})
	if wanted {
		select {
		case f.soon <- struct{}{}:
		default:
		}
	}
	return wanted
}

// Run reads now, at every poll and after every message, until the context ends.
func (f *Flag) Run(ctx context.Context) {
	for {
		wait := f.options.Poll*4/5 + between(f.options.Poll/5)
		if err := f.Refresh(ctx); err != nil && wait > retryAfter {
			wait = retryAfter/10 + between(retryAfter)
		}
		if !f.sleep(ctx, wait) {
			return
		}
	}
}

func (f *Flag) sleep(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	case <-f.soon:
	}
	// A thousand processes hear it; they must not all ask in the same millisecond.
	pause := time.NewTimer(between(readBackWithin))
	defer pause.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-pause.C:
		return true
	}
}

func between(most time.Duration) time.Duration {
	return time.Duration(rand.Int63n(int64(most) + 1))
}

func (f *Flag) change(with func()) {
	f.lock.Lock()
	before, told := f.primary(), f.strange
	with()
	after, strange := f.primary(), f.strange
	f.lock.Unlock()
	if f.options.OnUnsupported != nil && strange != "" && strange != told {
		f.options.OnUnsupported(strange)
	}
	if f.options.OnChange != nil && before != after {
		f.options.OnChange(before, after)
	}
}

func (f *Flag) supports(provider string) bool {
	return len(f.supported) == 0 || f.supported[provider]
}

func decodeState(state map[string]string) (provider string, epoch int64, good bool) {
	epoch, err := strconv.ParseInt(state["epoch"], 10, 64)
	_, decided := state["decision_id"]
	provider = state["provider"]
	good = err == nil && digits.MatchString(state["epoch"])
	return provider, epoch, good && decided && name.MatchString(provider)
}

func decodeCandidates(hash map[string]string) []candidate {
	found := []candidate{}
	for key, text := range hash {
		var said map[string]json.RawMessage
		c := candidate{name: key}
		// Written by a later version or by hand: left out.
		if json.Unmarshal([]byte(text), &said) != nil || !name.MatchString(key) ||
			!part(said, "eligible", &c.eligible) {
			continue
		}
		if _, placed := said["order"]; placed && !part(said, "order", &c.order) {
			continue
		}
		found = append(found, c)
	}
	sort.Slice(found, func(i, j int) bool {
		if found[i].order != found[j].order {
			return found[i].order < found[j].order
		}
		return found[i].name < found[j].name
	})
	return found
}
