"""A DNS of its own, signed with dnspython: NSEC, NSEC3, opt-out, wildcards, unsigned
zones; and what PROGRAM (the example dns_txt) says of it, right and tampered with."""
import dns.zone,dns.dnssec,dns.name,dns.rdatatype,dns.rdataset,dns.message,dns.flags,dns.rrset,dns.rdata,dns.rdtypes.ANY.NSEC3,dns.node,dns.rcode
import socket,threading,sys,time,subprocess,os,base64
from datetime import datetime,timedelta,timezone
from cryptography.hazmat.primitives.asymmetric import ed25519,ec,rsa
N=dns.name.from_text; T=dns.rdatatype
now=datetime.now(timezone.utc); inc=now-timedelta(days=1); exp=now+timedelta(days=10)
def key(kind):
    if kind=='ed': return ed25519.Ed25519PrivateKey.generate(),dns.dnssec.ED25519
    if kind=='p256': return ec.generate_private_key(ec.SECP256R1()),dns.dnssec.ECDSAP256SHA256
    if kind=='p384': return ec.generate_private_key(ec.SECP384R1()),dns.dnssec.ECDSAP384SHA384
    if kind=='rsa512': return rsa.generate_private_key(65537,2048),dns.dnssec.RSASHA512
    return rsa.generate_private_key(65537,2048),dns.dnssec.RSASHA256
class Z: pass
zones={}
def mk(name,text,kind,children=(),nsec3=None,optout=False):
    z=Z(); z.name=N(name); z.kind=kind; z.nsec3=nsec3
    z.zone=dns.zone.from_text(f"$ORIGIN {name}\n$TTL 300\n@ SOA ns.x. h.x. 1 2 3 4 300\n@ NS ns.x.\n"+text,origin=z.name,relativize=False)
    if kind:
        z.priv,z.alg=key(kind)
        z.key=dns.dnssec.make_dnskey(z.priv.public_key(),z.alg,257)
        z.ds=dns.dnssec.make_ds(z.name,z.key,'SHA256')
    for c in children:
        n=z.zone.find_node(c.name,create=True)
        n.find_rdataset(1,T.NS,create=True).add(dns.rdata.from_text(1,T.NS,'ns.x.'),300)
        if c.kind: n.find_rdataset(1,T.DS,create=True).add(c.ds,300)
    if kind:
        sgn=lambda txn,rrset: None
        z.zone.find_node(z.name).find_rdataset(1,T.DNSKEY,create=True).add(z.key,300)
        cuts=[n for n,node in z.zone.nodes.items() if node.get_rdataset(1,T.NS) and n!=z.name]
        def below(n): return any(n.is_subdomain(c) and n!=c for c in cuts)
        names=sorted(n for n in z.zone.nodes if not below(n))
        def sign(name,rds):
            rr=dns.rrset.from_rdata_list(name,rds.ttl,list(rds))
            sig=dns.dnssec.sign(rr,z.priv,z.name,z.key,inception=inc,expiration=exp)
            s=z.zone.find_node(name,create=True).find_rdataset(1,T.RRSIG,covers=rds.rdtype,create=True); s.add(sig,rds.ttl)
        for n in names:
            for rds in list(z.zone.nodes[n].rdatasets):
                if rds.rdtype==T.RRSIG: continue
                if n in cuts and rds.rdtype!=T.DS: continue
                sign(n,rds)
        def types(n,extra):
            ts=sorted({r.rdtype for r in z.zone.nodes[n].rdatasets if r.rdtype!=T.RRSIG}|set(extra)) if n in z.zone.nodes else []
            return ' '.join(T.to_text(t) for t in ts)
        if nsec3 is None:
            for i,n in enumerate(names):
                nx=names[(i+1)%len(names)]
                rd=dns.rdata.from_text(1,T.NSEC,f"{nx} {types(n,[T.NSEC,T.RRSIG])}")
                r=z.zone.nodes[n].find_rdataset(1,T.NSEC,create=True); r.add(rd,300); sign(n,r)
        else:
            salt,it=nsec3
            alln=set(names)
            for n in names:
                p=n
                while p!=z.name: alln.add(p); p=p.parent()
            if optout: alln={n for n in alln if not(n in cuts and not z.zone.nodes[n].get_rdataset(1,T.DS))}
            hs=sorted((dns.dnssec.nsec3_hash(n,salt,it,1).lower(),n) for n in alln)
            z.n3=[]
            for i,(h,n) in enumerate(hs):
                nx=hs[(i+1)%len(hs)][0]
                ex=[] if n in cuts and not z.zone.nodes[n].get_rdataset(1,T.DS) else [T.RRSIG]
                tt=types(n,ex if n in z.zone.nodes else [])
                rd=dns.rdata.from_text(1,T.NSEC3,f"1 {1 if optout else 0} {it} {salt or '-'} {nx} {tt}".strip())
                on=dns.name.Name([h.encode()]+list(z.name.labels))
                r=dns.rdataset.Rdataset(1,T.NSEC3); r.add(rd,300)
                rr=dns.rrset.from_rdata_list(on,300,[rd]); sig=dns.dnssec.sign(rr,z.priv,z.name,z.key,inception=inc,expiration=exp)
                z.n3.append((h,nx,n,rr,dns.rrset.from_rdata_list(on,300,[sig])))
        z.names=names
    zones[z.name]=z; return z
tamper=set()
def respond(q):
    qn=q.question[0].name; qt=q.question[0].rdtype
    r=dns.message.make_response(q); r.flags|=dns.flags.RA
    cand=[z for z in zones.values() if qn.is_subdomain(z.name)]
    if qt==T.DS: cand=[z for z in cand if z.name!=qn or z.name==dns.name.root]
    z=max(cand,key=lambda z:len(z.name))
    def add(sec,name,rdt,owner=None):
        node=z.zone.nodes.get(name)
        rds=node and node.get_rdataset(1,rdt)
        if not rds: return False
        sec.append(dns.rrset.from_rdata_list(owner or name,rds.ttl,list(rds)))
        s=node.get_rdataset(1,T.RRSIG,rdt)
        if s: sec.append(dns.rrset.from_rdata_list(owner or name,s.ttl,list(s)))
        return True
    def deny_exact(name):
        if not z.kind: return
        if z.nsec3 is None: add(r.authority,name,T.NSEC)
        else:
            for h,nx,n,rr,sg in z.n3:
                if n==name: r.authority+= [rr,sg]; return True
            return False
        return True
    def cover(name):
        if not z.kind: return
        if z.nsec3 is None:
            below=[n for n in z.names if n<name]
            add(r.authority,below[-1],T.NSEC)
        else:
            h=dns.dnssec.nsec3_hash(name,z.nsec3[0],z.nsec3[1],1).lower()
            for a,b,n,rr,sg in z.n3:
                if (a<b and a<h<b) or (a>=b and (h>a or h<b)):
                    if rr not in r.authority: r.authority+=[rr,sg]
                    return
    def closest(name):
        p=name
        while True:
            c=p; p=p.parent()
            if any(n==p for *_,n,rr,sg in [(x[0],x[1],x[2],x[3],x[4]) for x in z.n3]): 
                deny_exact(p); cover(c); return p
    if add(r.answer,qn,qt) or add(r.answer,qn,T.CNAME): pass
    elif qn in z.zone.nodes or any(n.is_subdomain(qn) for n in z.zone.nodes):
        if z.kind and z.nsec3 is None and qn not in z.zone.nodes: cover(qn)
        elif z.kind:
            ok=deny_exact(qn)
            if z.nsec3 is not None and not ok: closest(qn)
    else:
        # wildcard
        p=qn; wc=None
        while p!=z.name:
            p=p.parent()
            w=dns.name.Name([b'*']+list(p.labels))
            if w in z.zone.nodes: wc=w;break
            if p in z.zone.nodes: break
        if wc and add(r.answer,wc,qt,owner=qn):
            if z.kind:
                if z.nsec3 is None: cover(qn)
                else: cover(dns.name.Name(qn.labels[-(len(p.labels)+1):]))
        else:
            r.set_rcode(dns.rcode.NXDOMAIN)
            if z.kind:
                if z.nsec3 is None:
                    cover(qn)
                    p=qn
                    while True:
                        p=p.parent()
                        if p in z.zone.nodes or any(n.is_subdomain(p) for n in z.zone.nodes): break
                    cover(dns.name.Name([b'*']+list(p.labels)))
                else:
                    p=closest(qn); cover(dns.name.Name([b'*']+list(p.labels)))
    key=(str(qn).rstrip('.'),T.to_text(qt))
    if key in tamper or (key[0],'*') in tamper:
        mode=tamper_mode
        if mode=='text':
            r.answer=[dns.rrset.from_text(x.name,x.ttl,'IN','TXT','"v=imn1; id=evil"') if x.rdtype==T.TXT else x for x in r.answer]
        elif mode=='strip': r.answer=[];
        elif mode=='nosig':
            r.answer=[x for x in r.answer if x.rdtype!=T.RRSIG]; r.authority=[x for x in r.authority if x.rdtype!=T.RRSIG]
        elif mode=='nods': r.answer=[]; r.authority=[]
    return r
tamper_mode='text'
sock=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); sock.bind(('127.0.0.1',0)); port=sock.getsockname()[1]
tcp=socket.socket(); tcp.bind(('127.0.0.1',port)); tcp.listen()
def serve():
    while True:
        try:
            d,a=sock.recvfrom(4096); q=dns.message.from_wire(d); r=respond(q); w=r.to_wire(max_size=1232) if len(r.to_wire(max_size=65535))<=1232 else None
            if w is None:
                t=dns.message.make_response(q); t.flags|=dns.flags.TC; w=t.to_wire()
            sock.sendto(w,a)
        except Exception as e: import traceback; traceback.print_exc()
def servet():
    while True:
        c,_=tcp.accept(); l=int.from_bytes(c.recv(2),'big'); d=c.recv(l); w=respond(dns.message.from_wire(d)).to_wire(max_size=65535); c.sendall(len(w).to_bytes(2,'big')+w); c.close()
leaf='_image-names TXT "v=imn1; " "id=a"\nsub.deep A 1.2.3.4\nwww A 1.1.1.1\nalias CNAME www.%s\n_image-names.al CNAME _image-names.secure.example.\n*.wild TXT "v=imn1; id=w"\n'
long='_image-names TXT "v=imn1; id=long"\n'+''.join(f'_image-names TXT "{"x"*200}{i}"\n' for i in range(9))
cs=[mk('secure.example.',leaf%'secure.example.','p256'), mk('ed.example.',leaf%'ed.example.','ed'), mk('r512.example.',leaf%'r512.example.','rsa512'),
    mk('n3.example.',leaf%'n3.example.','ed',nsec3=('aabb',5)), mk('unsup.example.',leaf%'unsup.example.','p384'),
    mk('insecure.example.',leaf%'insecure.example.',None), mk('long.example.',long,'ed')]
oo=[mk('ins.oo.',leaf%'ins.oo.',None), mk('sec.oo.',leaf%'sec.oo.','ed')]
ex=mk('example.','x TXT "y"\n','rsa',children=cs)
op=mk('oo.','x TXT "y"\n','p256',children=oo,nsec3=('',0),optout=True)
root=mk('.','', 'rsa',children=[ex,op])
threading.Thread(target=serve,daemon=True).start(); threading.Thread(target=servet,daemon=True).start()

tag = dns.dnssec.key_id(root.key)
program = sys.argv[1]
def ask(name, seconds=None):
    words = [program, f"127.0.0.1:{port}", name, str(tag), str(int(root.alg)), "2", root.ds.digest.hex()]
    words += [str(seconds)] if seconds else []
    done = subprocess.run(words, capture_output=True, text=True)
    return done.stdout.split(" ")[0] + " " + str("v=imn1" in done.stdout) if done.returncode == 0 else (
        "Bogus" if "Discovery" in done.stderr else done.stderr)
wrong = []
def expect(what, found, expected):
    if found != expected:
        wrong.append(f"{what}: {found}, expected {expected}")
for name, expected in {
    "_image-names.secure.example": "Secure True", "_image-names.ed.example": "Secure True",
    "_image-names.r512.example": "Secure True", "_image-names.n3.example": "Secure True",
    "_image-names.unsup.example": "Insecure True", "_image-names.insecure.example": "Insecure True",
    "_image-names.long.example": "Secure True", "_image-names.ins.oo": "Insecure True",
    "_image-names.sec.oo": "Secure True", "www.secure.example": "Secure False",
    "_image-names.www.secure.example": "Secure False", "_image-names.deep.secure.example": "Secure False",
    "deep.secure.example": "Secure False", "_image-names.nothing.example": "Secure False",
    "_image-names.al.secure.example": "Secure True", "a.wild.secure.example": "Secure True",
    "b.c.wild.secure.example": "Secure True", "_image-names.nothing.tld": "Secure False",
    "_image-names.www.n3.example": "Secure False", "deep.n3.example": "Secure False",
    "nothing.n3.example": "Secure False", "a.wild.n3.example": "Secure True",
    "_image-names.nothing.oo": "Insecure False",
}.items():
    expect(name, ask(name), expected)
def spoiled(where, mode, name, expected="Bogus"):
    global tamper_mode
    tamper.clear(); tamper.update(where); tamper_mode = mode
    expect(f"{mode} {where}", ask(name), expected)
    tamper.clear()
name = "_image-names.secure.example"
spoiled([(name, "TXT")], "text", name)
spoiled([(name, "TXT")], "strip", name)
spoiled([(name, "TXT")], "nosig", name)
spoiled([("secure.example", "DS")], "nods", name)
spoiled([("secure.example", "DS")], "nosig", name)
spoiled([("secure.example", "DNSKEY")], "nosig", name)
spoiled([("example", "DNSKEY")], "strip", name)
spoiled([("insecure.example", "DS")], "nods", "_image-names.insecure.example")
spoiled([("ins.oo", "DS")], "nosig", "_image-names.ins.oo")
spoiled([("_image-names.www.n3.example", "TXT")], "nosig", "_image-names.www.n3.example")
spoiled([("a.wild.secure.example", "TXT")], "nosig", "a.wild.secure.example")
# A server that gives no signatures at all proves nothing, either way.
spoiled([("", "DNSKEY")], "nosig", name, "Insecure True")
expect("late", ask(name, int(time.time()) + 86400 * 30), "Bogus")
expect("early", ask(name, int(time.time()) - 86400 * 30), "Bogus")
print("\n".join(wrong) or "ok")
sys.exit(1 if wrong else 0)
